/*
 * margin.h
 *		The formulas of margin and profit: pure, exact, without tables.
 *
 * Quantities are signed (long > 0).  The cost of a position is the signed
 * value paid for it, qty * multiplier * average entry for a linear contract,
 * so that no formula depends on a rounded average.  Money is in units of the
 * settlement asset.
 *
 * Names in the comments: q signed quantity, s its sign, k multiplier, P price,
 * E average entry price, C signed cost, V value, N notional, u profit not yet
 * realised, W balance, m maintenance rate, c cumulative maintenance amount, f
 * rate of the fee for closing, by choice or in a liquidation.  "Settle" is one
 * unit of the settlement asset.
 */
#ifndef RISK_MARGIN_H
#define RISK_MARGIN_H

#include "decimal.h"

typedef enum ContractKind
{
	CONTRACT_LINEAR,			/* V = q k P */
	CONTRACT_INVERSE,			/* V = -(q k / P): contracts of k units of
								 * quote, settled in the coin */
	CONTRACT_QUANTO				/* V = q k P, k in settle for one unit of price */
} ContractKind;

/*
 * The value of a trade in an inverse contract is rounded, to this many
 * decimals more than the asset has; its two sides are rounded alike.
 */
#define INVERSE_EXTRA_SCALE 8

/* An open position. */
typedef struct Holding
{
	ContractKind kind;
	Decimal		qty;
	Decimal		cost;
	Decimal		multiplier;
} Holding;

/* The rest of the account that holds it, in settle. */
typedef struct Surroundings
{
	Decimal		balance;
	Decimal		other_pnl;		/* of its other positions */
	Decimal		other_maintenance;
} Surroundings;

/*
 * Tiers of the maintenance margin: rates[i] holds for notionals above
 * floors[i] up to the next floor; none below the first.  Floors ascend.
 */
typedef struct TierTable
{
	int			n;
	const Decimal *floors;
	const Decimal *rates;
	const Decimal *amounts;		/* cumulative, derived from these */
} TierTable;

/* One of them, or a flat rate, or a fixed amount: see maintenance_margin(). */
typedef struct Maintenance
{
	Decimal		rate;
	Decimal		amount;
} Maintenance;

/* Which equity is liquidated: one below its requirement, or also one at it. */
typedef enum LiquidationTrigger
{
	TRIGGER_BELOW,
	TRIGGER_AT_OR_BELOW
} LiquidationTrigger;

/* What a venue takes for a liquidation: see liquidation_fee_rate(). */
typedef struct LiquidationFee
{
	Decimal		base;
	Decimal		by_size;
	Decimal		by_volatility;
	Decimal		by_depth;
	Decimal		minimum;
	Decimal		maximum;
} LiquidationFee;

/* 22023 for other names */
extern ContractKind contract_kind(const char *name);
extern LiquidationTrigger liquidation_trigger(const char *name);

/* formulas.c; those of formulas.h are inline */

extern void derive_tier_amounts(int n, const Decimal *floors,
								const Decimal *rates, Decimal *amounts);
extern bool holding_entry_price(const Holding *holding, int scale,
								Decimal *price);
extern bool holding_liquidation_price_by_tiers(const Holding *holding,
											   const Surroundings *account,
											   const TierTable *tiers,
											   Decimal close_fee_rate,
											   Decimal *price);

extern Decimal account_withdrawable(Decimal balance, Decimal pnl,
									Decimal initial_margin,
									Decimal order_reserve, Decimal holds,
									bool profit_backs_margin);
extern Decimal account_free_collateral(Decimal balance, Decimal pnl,
									   Decimal initial_margin,
									   Decimal order_reserve, Decimal holds);
extern Decimal largest_order(ContractKind kind, Decimal free_collateral,
							 Decimal price, Decimal leverage, Decimal fee_rate,
							 Decimal lot, Decimal multiplier,
							 Decimal opposing_qty, Decimal opposing_margin);

/* liquidation_fee.c */

extern Decimal liquidation_fee_rate(const LiquidationFee *fee, Decimal notional,
									Decimal reference_notional,
									Decimal volatility_ratio,
									Decimal depth_ratio);
extern Decimal liquidation_fee_charged(Decimal notional, Decimal fee_rate,
									   int scale, Decimal available);

/* adl_rank.c: false where there is no score */

extern bool adl_rank_bitmex(Decimal mark_value, Decimal entry_value,
							Decimal bankruptcy_value, Decimal *rank);
extern bool adl_rank_coinex(Decimal unrealized_pnl, Decimal entry_value,
							Decimal leverage, Decimal *rank);
extern bool adl_rank_pnl_equity(Decimal unrealized_pnl, Decimal equity,
								Decimal *rank);

/* loss_share.c */

extern Numeric *loss_shares(const Numeric *weights, const Numeric *limits,
							int n, Numeric loss, int scale);

/* margin.c: the same in Numeric, for posting, and what a trade does */

typedef struct PositionChange
{
	Numeric		qty;			/* quantity after */
	Numeric		cost;			/* cost after, 0 when flat */
	Numeric		realized;		/* profit realised, rounded down to the
								 * scale of the asset; NULL when the trade
								 * closes nothing */
	Numeric		residue;		/* what the rounding left when the position
								 * was closed, >= 0 and added to the cost;
								 * NULL when zero */
	bool		adds_risk;		/* larger than before, or turned over */
} PositionChange;

extern Numeric contract_value(ContractKind kind, Numeric qty, Numeric price,
							  Numeric multiplier, int scale);
extern Numeric contract_notional(ContractKind kind, Numeric qty, Numeric price,
								 Numeric multiplier);
extern Numeric contract_price(ContractKind kind, Numeric qty, Numeric value,
							  Numeric multiplier, int scale);
extern bool contract_values_net(ContractKind kind, Numeric value, int64 rows,
								int scale);
extern Numeric position_entry_price(ContractKind kind, Numeric qty,
									Numeric cost, Numeric multiplier,
									DecimalRounding rounding);
extern Numeric position_unrealized_pnl(ContractKind kind, Numeric qty,
									   Numeric cost, Numeric mark_price,
									   Numeric multiplier);
extern void position_apply_trade(ContractKind kind, Numeric qty, Numeric cost,
								 Numeric trade_qty, Numeric trade_price,
								 Numeric multiplier, int scale,
								 PositionChange *change);
extern Numeric position_funding(ContractKind kind, Numeric qty,
								Numeric mark_price, Numeric multiplier,
								Numeric rate, int scale);
extern Numeric margin_initial(Numeric notional, Numeric leverage, int scale);
extern Numeric margin_released(Numeric balance, Numeric qty_before, Numeric qty,
							   int scale);
extern Numeric margin_initial_at_open_interest(Numeric notional, Numeric leverage,
											   Numeric open_interest,
											   Numeric lo, Numeric hi,
											   int scale);
extern Numeric margin_volatility_scale(Numeric volatility, Numeric reference,
									   Numeric min_scale, Numeric max_scale,
									   Numeric step);
extern Numeric margin_scaled_rate(Numeric rate, Numeric scale,
								  Numeric max_leverage);
extern Numeric margin_effective_leverage(Numeric max_leverage, Numeric chosen);
extern Numeric margin_collateral_value(Numeric amount, Numeric index_price,
									   Numeric haircut);
extern Numeric margin_collateral_share(Numeric value, Numeric index_price,
									   Numeric haircut, int scale);
extern Numeric margin_collateral_needed(Numeric amount, Numeric index_price,
									   Numeric from_index_price,
									   Numeric haircut, int scale);
extern Numeric margin_withdrawable(Numeric balance, Numeric unrealized_pnl,
								   Numeric initial_margin,
								   Numeric order_reserve, Numeric holds,
								   bool profit_backs_margin);

extern Numeric margin_free_collateral(Numeric balance, Numeric unrealized_pnl,
									  Numeric initial_margin,
									  Numeric order_reserve, Numeric holds);

#endif							/* RISK_MARGIN_H */
