/*
 * margin_sql.c
 *		The SQL face of the formulas of one position.
 *
 * All functions are declared STRICT in sql/formulas.sql, which also says what
 * each one returns.  Most come in two forms that differ in one argument: the
 * exact cost of the position, or the entry price to make it from.  Rows of a
 * table of positions go to the first, which takes a flat one; a question that
 * is asked with a price is not meant for a quantity of zero, which is refused.
 */
#include "postgres.h"

#include "arguments.h"

PG_FUNCTION_INFO_V1(risk_unrealized_pnl);
PG_FUNCTION_INFO_V1(risk_unrealized_pnl_at_cost);
PG_FUNCTION_INFO_V1(risk_equity);
PG_FUNCTION_INFO_V1(risk_equity_at_cost);
PG_FUNCTION_INFO_V1(risk_notional);
PG_FUNCTION_INFO_V1(risk_entry_price);
PG_FUNCTION_INFO_V1(risk_margin_tier);
PG_FUNCTION_INFO_V1(risk_maintenance_margin);
PG_FUNCTION_INFO_V1(risk_maintenance_margin_by_tiers);
PG_FUNCTION_INFO_V1(risk_maintenance_margin_of_notional);
PG_FUNCTION_INFO_V1(risk_liquidation_requirement);
PG_FUNCTION_INFO_V1(risk_liquidation_fee_rate);
PG_FUNCTION_INFO_V1(risk_liquidation_fee);
PG_FUNCTION_INFO_V1(risk_liquidation_fee_charged);
PG_FUNCTION_INFO_V1(risk_initial_margin);
PG_FUNCTION_INFO_V1(risk_liquidation_price);
PG_FUNCTION_INFO_V1(risk_liquidation_price_at_cost);
PG_FUNCTION_INFO_V1(risk_liquidation_price_by_tiers);
PG_FUNCTION_INFO_V1(risk_liquidation_price_by_tiers_at_cost);
PG_FUNCTION_INFO_V1(risk_is_liquidatable);
PG_FUNCTION_INFO_V1(risk_is_liquidatable_at_cost);
PG_FUNCTION_INFO_V1(risk_is_liquidatable_by_tiers);
PG_FUNCTION_INFO_V1(risk_is_liquidatable_by_tiers_at_cost);
PG_FUNCTION_INFO_V1(risk_is_liquidatable_by_requirement);
PG_FUNCTION_INFO_V1(risk_bankruptcy_price);
PG_FUNCTION_INFO_V1(risk_bankruptcy_price_at_cost);

/* qty is argument n, its cost or entry price the next one */
fixed_inline void
read_holding(FunctionCallInfo fcinfo, int n, bool at_cost, int multiplier, int kind,
			 Holding *holding)
{
	holding->kind = read_kind(fcinfo, kind);
	read_number(fcinfo, n, "qty", at_cost ? ARG_FINITE : ARG_NOT_ZERO, &holding->qty);
	read_number(fcinfo, multiplier, "multiplier", ARG_POSITIVE, &holding->multiplier);
	if (at_cost)
		read_number(fcinfo, n + 1, "cost", ARG_FINITE, &holding->cost);
	else
	{
		Decimal		entry_price;

		read_number(fcinfo, n + 1, "entry_price", ARG_POSITIVE, &entry_price);
		holding->cost = holding_value(holding->kind, holding->qty, entry_price,
									  holding->multiplier);
	}
}

/* maintenance_rate, maintenance_amount */
fixed_inline void
read_maintenance(FunctionCallInfo fcinfo, int n, Maintenance *maintenance)
{
	read_number(fcinfo, n, "maintenance_rate", ARG_RATE, &maintenance->rate);
	read_number(fcinfo, n + 1, "maintenance_amount", ARG_NOT_NEGATIVE, &maintenance->amount);
}

/* other_pnl, other_maintenance */
fixed_inline void
read_surroundings(FunctionCallInfo fcinfo, int balance, int n, Surroundings *account)
{
	read_number(fcinfo, balance, "balance", ARG_FINITE, &account->balance);
	read_number(fcinfo, n, "other_pnl", ARG_FINITE, &account->other_pnl);
	read_number(fcinfo, n + 1, "other_maintenance", ARG_NOT_NEGATIVE, &account->other_maintenance);
}

fixed_inline Datum
return_price(FunctionCallInfo fcinfo, bool exists, Decimal price)
{
	if (!exists)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(dec_to_numeric(price));
}

/* Profit and size */

/* qty, entry_price | cost, mark_price, multiplier, kind */
fixed_inline Datum
unrealized_pnl(FunctionCallInfo fcinfo, bool at_cost)
{
	Holding		holding;
	Decimal		mark_price;

	read_holding(fcinfo, 0, at_cost, 3, 4, &holding);
	read_number(fcinfo, 2, "mark_price", ARG_POSITIVE, &mark_price);
	PG_RETURN_NUMERIC(dec_to_numeric(holding_pnl(&holding, mark_price)));
}

Datum
risk_unrealized_pnl(PG_FUNCTION_ARGS)
{
	return unrealized_pnl(fcinfo, false);
}

Datum
risk_unrealized_pnl_at_cost(PG_FUNCTION_ARGS)
{
	return unrealized_pnl(fcinfo, true);
}

/* balance, qty, entry_price | cost, mark_price, multiplier, kind */
fixed_inline Datum
equity(FunctionCallInfo fcinfo, bool at_cost)
{
	Decimal		balance;
	Holding		holding;
	Decimal		mark_price;

	read_number(fcinfo, 0, "balance", ARG_FINITE, &balance);
	read_holding(fcinfo, 1, at_cost, 4, 5, &holding);
	read_number(fcinfo, 3, "mark_price", ARG_POSITIVE, &mark_price);
	PG_RETURN_NUMERIC(dec_to_numeric(dec_add(balance, holding_pnl(&holding, mark_price))));
}

Datum
risk_equity(PG_FUNCTION_ARGS)
{
	return equity(fcinfo, false);
}

Datum
risk_equity_at_cost(PG_FUNCTION_ARGS)
{
	return equity(fcinfo, true);
}

/* the notional of qty and price, arguments 0 and 1 */
fixed_inline Decimal
read_notional(FunctionCallInfo fcinfo, int multiplier, int kind)
{
	Decimal		qty;
	Decimal		price;
	Decimal		contract;

	read_number(fcinfo, 0, "qty", ARG_NOT_ZERO, &qty);
	read_number(fcinfo, 1, "price", ARG_POSITIVE, &price);
	read_number(fcinfo, multiplier, "multiplier", ARG_POSITIVE, &contract);
	return holding_notional(read_kind(fcinfo, kind), qty, price, contract);
}

/* qty, price, multiplier, kind */
Datum
risk_notional(PG_FUNCTION_ARGS)
{
	PG_RETURN_NUMERIC(dec_to_numeric(read_notional(fcinfo, 2, 3)));
}

/* qty, cost, multiplier, kind, scale */
Datum
risk_entry_price(PG_FUNCTION_ARGS)
{
	Holding		holding;
	Decimal		price;
	bool		exists;

	read_holding(fcinfo, 0, true, 2, 3, &holding);
	exists = holding_entry_price(&holding, read_scale(fcinfo, 4), &price);
	return return_price(fcinfo, exists, price);
}

/* Margins */

/* notional, tier_floors, tier_rates */
Datum
risk_margin_tier(PG_FUNCTION_ARGS)
{
	Decimal		notional;
	const TierTable *tiers;

	read_number(fcinfo, 0, "notional", ARG_NOT_NEGATIVE, &notional);
	tiers = read_tiers(fcinfo, 1);
	PG_RETURN_INT32(tier_of_notional(tiers, notional) + 1);
}

/* qty, price, maintenance_rate, maintenance_amount, multiplier, kind */
Datum
risk_maintenance_margin(PG_FUNCTION_ARGS)
{
	Decimal		notional = read_notional(fcinfo, 4, 5);
	Maintenance maintenance;

	read_maintenance(fcinfo, 2, &maintenance);
	PG_RETURN_NUMERIC(dec_to_numeric(maintenance_margin(notional, maintenance)));
}

/* qty, price, tier_floors, tier_rates, multiplier, kind */
Datum
risk_maintenance_margin_by_tiers(PG_FUNCTION_ARGS)
{
	Decimal		notional = read_notional(fcinfo, 4, 5);
	const TierTable *tiers;

	tiers = read_tiers(fcinfo, 2);
	PG_RETURN_NUMERIC(dec_to_numeric(maintenance_margin_by_tiers(tiers, notional)));
}

/* notional, tier_floors, tier_rates */
Datum
risk_maintenance_margin_of_notional(PG_FUNCTION_ARGS)
{
	Decimal		notional;
	const TierTable *tiers;

	read_number(fcinfo, 0, "notional", ARG_NOT_NEGATIVE, &notional);
	tiers = read_tiers(fcinfo, 1);
	PG_RETURN_NUMERIC(dec_to_numeric(maintenance_margin_by_tiers(tiers, notional)));
}

/* qty, price, tier_floors, tier_rates, liquidation_fee_rate, multiplier, kind */
Datum
risk_liquidation_requirement(PG_FUNCTION_ARGS)
{
	Decimal		notional = read_notional(fcinfo, 5, 6);
	Decimal		fee_rate;
	const TierTable *tiers;

	read_number(fcinfo, 4, "liquidation_fee_rate", ARG_RATE, &fee_rate);
	tiers = read_tiers(fcinfo, 2);
	PG_RETURN_NUMERIC(dec_to_numeric(liquidation_requirement(notional,
															 maintenance_margin_by_tiers(tiers, notional),
															 fee_rate)));
}

/*
 * notional, base_rate, by_size, reference_notional, by_volatility,
 * volatility_ratio, by_depth, depth_ratio, minimum_rate, maximum_rate
 */
Datum
risk_liquidation_fee_rate(PG_FUNCTION_ARGS)
{
	LiquidationFee fee;
	Decimal		notional;
	Decimal		reference_notional;
	Decimal		volatility_ratio;
	Decimal		depth_ratio;

	read_number(fcinfo, 0, "notional", ARG_NOT_NEGATIVE, &notional);
	read_number(fcinfo, 1, "base_rate", ARG_RATE, &fee.base);
	read_number(fcinfo, 2, "by_size", ARG_NOT_NEGATIVE, &fee.by_size);
	read_number(fcinfo, 3, "reference_notional", ARG_POSITIVE, &reference_notional);
	read_number(fcinfo, 4, "by_volatility", ARG_NOT_NEGATIVE, &fee.by_volatility);
	read_number(fcinfo, 5, "volatility_ratio", ARG_NOT_NEGATIVE, &volatility_ratio);
	read_number(fcinfo, 6, "by_depth", ARG_NOT_NEGATIVE, &fee.by_depth);
	read_number(fcinfo, 7, "depth_ratio", ARG_NOT_NEGATIVE, &depth_ratio);
	read_number(fcinfo, 8, "minimum_rate", ARG_RATE, &fee.minimum);
	read_number(fcinfo, 9, "maximum_rate", ARG_RATE, &fee.maximum);
	if (dec_compare(fee.minimum, fee.maximum) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("maximum_rate must not be less than minimum_rate"),
				 errdetail("The values given are %.60s and %.60s.",
						   decimal_to_cstring(dec_to_numeric(fee.maximum)),
						   decimal_to_cstring(dec_to_numeric(fee.minimum))),
				 errhint("The rate is kept between the two.")));
	PG_RETURN_NUMERIC(dec_to_numeric(liquidation_fee_rate(&fee, notional, reference_notional,
														  volatility_ratio, depth_ratio)));
}

/* notional, liquidation_fee_rate */
fixed_inline void
read_fee(FunctionCallInfo fcinfo, Decimal *notional, Decimal *fee_rate)
{
	read_number(fcinfo, 0, "notional", ARG_NOT_NEGATIVE, notional);
	read_number(fcinfo, 1, "liquidation_fee_rate", ARG_RATE, fee_rate);
}

Datum
risk_liquidation_fee(PG_FUNCTION_ARGS)
{
	Decimal		notional;
	Decimal		fee_rate;

	read_fee(fcinfo, &notional, &fee_rate);
	PG_RETURN_NUMERIC(dec_to_numeric(liquidation_fee(notional, fee_rate)));
}

/* and scale, available */
Datum
risk_liquidation_fee_charged(PG_FUNCTION_ARGS)
{
	Decimal		notional;
	Decimal		fee_rate;
	Decimal		available;

	read_fee(fcinfo, &notional, &fee_rate);
	read_number(fcinfo, 3, "available", ARG_FINITE, &available);
	PG_RETURN_NUMERIC(dec_to_numeric(liquidation_fee_charged(notional, fee_rate,
															 read_scale(fcinfo, 2), available)));
}

/* notional, leverage, scale */
Datum
risk_initial_margin(PG_FUNCTION_ARGS)
{
	Decimal		notional;
	Decimal		leverage;
	int			scale;

	read_number(fcinfo, 0, "notional", ARG_NOT_NEGATIVE, &notional);
	read_number(fcinfo, 1, "leverage", ARG_POSITIVE, &leverage);
	scale = read_scale(fcinfo, 2);
	PG_RETURN_NUMERIC(dec_to_numeric(initial_margin(notional, leverage, scale)));
}

/* Prices */

/*
 * qty, entry_price | cost, balance, maintenance_rate, maintenance_amount,
 * other_pnl, other_maintenance, close_fee_rate, multiplier, kind
 */
fixed_inline Datum
liquidation_price(FunctionCallInfo fcinfo, bool at_cost)
{
	Holding		holding;
	Surroundings account;
	Maintenance maintenance;
	Decimal		close_fee_rate;
	Decimal		price;
	bool		exists;

	read_holding(fcinfo, 0, at_cost, 8, 9, &holding);
	read_surroundings(fcinfo, 2, 5, &account);
	read_maintenance(fcinfo, 3, &maintenance);
	read_number(fcinfo, 7, "close_fee_rate", ARG_RATE, &close_fee_rate);
	exists = holding_liquidation_price(&holding, &account, maintenance, close_fee_rate, &price);
	return return_price(fcinfo, exists, price);
}

Datum
risk_liquidation_price(PG_FUNCTION_ARGS)
{
	return liquidation_price(fcinfo, false);
}

Datum
risk_liquidation_price_at_cost(PG_FUNCTION_ARGS)
{
	return liquidation_price(fcinfo, true);
}

/*
 * qty, entry_price | cost, balance, tier_floors, tier_rates, other_pnl,
 * other_maintenance, close_fee_rate, multiplier, kind
 */
fixed_inline Datum
liquidation_price_by_tiers(FunctionCallInfo fcinfo, bool at_cost)
{
	Holding		holding;
	Surroundings account;
	Decimal		close_fee_rate;
	const TierTable *tiers;
	Decimal		price;
	bool		exists;

	read_holding(fcinfo, 0, at_cost, 8, 9, &holding);
	read_surroundings(fcinfo, 2, 5, &account);
	read_number(fcinfo, 7, "close_fee_rate", ARG_RATE, &close_fee_rate);
	tiers = read_tiers(fcinfo, 3);
	exists = holding_liquidation_price_by_tiers(&holding, &account, tiers, close_fee_rate, &price);
	return return_price(fcinfo, exists, price);
}

Datum
risk_liquidation_price_by_tiers(PG_FUNCTION_ARGS)
{
	return liquidation_price_by_tiers(fcinfo, false);
}

Datum
risk_liquidation_price_by_tiers_at_cost(PG_FUNCTION_ARGS)
{
	return liquidation_price_by_tiers(fcinfo, true);
}

/*
 * qty, entry_price | cost, mark_price, balance, maintenance_rate |
 * tier_floors, maintenance_amount | tier_rates, other_pnl, other_maintenance,
 * close_fee_rate, multiplier, kind, liquidation_trigger
 */
fixed_inline Datum
is_liquidatable(FunctionCallInfo fcinfo, bool at_cost, bool by_tiers)
{
	Holding		holding;
	Decimal		mark_price;
	Surroundings account;
	Decimal		close_fee_rate;
	LiquidationTrigger trigger;
	Decimal		value;
	Decimal		maintenance;

	read_holding(fcinfo, 0, at_cost, 9, 10, &holding);
	read_number(fcinfo, 2, "mark_price", ARG_POSITIVE, &mark_price);
	read_surroundings(fcinfo, 3, 6, &account);
	read_number(fcinfo, 8, "close_fee_rate", ARG_RATE, &close_fee_rate);
	trigger = read_trigger(fcinfo, 11);
	value = holding_value(holding.kind, holding.qty, mark_price, holding.multiplier);
	if (by_tiers)
		maintenance = maintenance_margin_by_tiers(read_tiers(fcinfo, 4), dec_absolute(value));
	else
	{
		Maintenance flat;

		read_maintenance(fcinfo, 4, &flat);
		maintenance = maintenance_margin(dec_absolute(value), flat);
	}
	PG_RETURN_BOOL(holding_is_liquidatable(&holding, &account, value, maintenance,
										   close_fee_rate, trigger));
}

Datum
risk_is_liquidatable(PG_FUNCTION_ARGS)
{
	return is_liquidatable(fcinfo, false, false);
}

Datum
risk_is_liquidatable_at_cost(PG_FUNCTION_ARGS)
{
	return is_liquidatable(fcinfo, true, false);
}

Datum
risk_is_liquidatable_by_tiers(PG_FUNCTION_ARGS)
{
	return is_liquidatable(fcinfo, false, true);
}

Datum
risk_is_liquidatable_by_tiers_at_cost(PG_FUNCTION_ARGS)
{
	return is_liquidatable(fcinfo, true, true);
}

/* equity, requirement, liquidation_trigger */
Datum
risk_is_liquidatable_by_requirement(PG_FUNCTION_ARGS)
{
	Decimal		equity;
	Decimal		requirement;

	read_number(fcinfo, 0, "equity", ARG_FINITE, &equity);
	read_number(fcinfo, 1, "requirement", ARG_NOT_NEGATIVE, &requirement);
	PG_RETURN_BOOL(requirement_is_breached(equity, requirement, read_trigger(fcinfo, 2)));
}

/*
 * qty, entry_price | cost, balance, other_pnl, close_fee_rate, multiplier,
 * kind
 */
fixed_inline Datum
bankruptcy_price(FunctionCallInfo fcinfo, bool at_cost)
{
	Holding		holding;
	Decimal		balance;
	Decimal		other_pnl;
	Decimal		close_fee_rate;
	Decimal		price;
	bool		exists;

	read_holding(fcinfo, 0, at_cost, 5, 6, &holding);
	read_number(fcinfo, 2, "balance", ARG_FINITE, &balance);
	read_number(fcinfo, 3, "other_pnl", ARG_FINITE, &other_pnl);
	read_number(fcinfo, 4, "close_fee_rate", ARG_RATE, &close_fee_rate);
	exists = holding_zero_equity_price(&holding, dec_add(balance, other_pnl), close_fee_rate, &price);
	return return_price(fcinfo, exists, price);
}

Datum
risk_bankruptcy_price(PG_FUNCTION_ARGS)
{
	return bankruptcy_price(fcinfo, false);
}

Datum
risk_bankruptcy_price_at_cost(PG_FUNCTION_ARGS)
{
	return bankruptcy_price(fcinfo, true);
}
