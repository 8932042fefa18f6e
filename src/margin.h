/*
 * margin.h
 *		The formulas of margin and profit: pure, exact, without tables.
 *
 * Quantities are signed (long > 0).  The cost of a position is the signed
 * value paid for it, qty * multiplier * average entry for a linear contract,
 * so that no formula depends on a rounded average.  Money is in units of the
 * settlement asset.
 */
#ifndef RISK_MARGIN_H
#define RISK_MARGIN_H

#include "decimal.h"

typedef enum ContractKind
{
	CONTRACT_LINEAR
} ContractKind;

/* What a trade does to a position. */
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

extern ContractKind contract_kind(const char *name);	/* 0A000, 22023 */
extern Numeric contract_value(ContractKind kind, Numeric qty, Numeric price,
							  Numeric multiplier);
extern Numeric contract_notional(ContractKind kind, Numeric qty, Numeric price,
								 Numeric multiplier);
extern Numeric position_unrealized_pnl(ContractKind kind, Numeric qty,
									   Numeric cost, Numeric mark_price,
									   Numeric multiplier);
extern void position_apply_trade(ContractKind kind, Numeric qty, Numeric cost,
								 Numeric trade_qty, Numeric trade_price,
								 Numeric multiplier, int scale,
								 PositionChange *change);
extern Numeric margin_maintenance(Numeric notional, Numeric rate,
								  Numeric amount);
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
extern Numeric margin_free_collateral(Numeric balance, Numeric unrealized_pnl,
									  Numeric initial_margin,
									  Numeric order_reserve);
extern Numeric margin_withdrawable(Numeric balance, Numeric unrealized_pnl,
								   Numeric initial_margin,
								   Numeric order_reserve);

/* NULL (C) when there is no such price */
extern Numeric position_liquidation_price(ContractKind kind, Numeric qty,
										  Numeric cost, Numeric balance,
										  Numeric rate, Numeric amount,
										  Numeric other_pnl,
										  Numeric other_maintenance,
										  Numeric close_fee_rate,
										  Numeric multiplier);
extern Numeric position_bankruptcy_price(ContractKind kind, Numeric qty,
										 Numeric cost, Numeric balance,
										 Numeric other_pnl,
										 Numeric close_fee_rate,
										 Numeric multiplier);

#endif							/* RISK_MARGIN_H */
