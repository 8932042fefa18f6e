-- ranks.sql
--		Who is deleveraged first, and who bears how much of a loss.
--
-- Numbers in, numbers out; no tables.  The functions are STRICT.

CREATE FUNCTION risk.adl_rank_bitmex(
	mark_value numeric,
	entry_value numeric,
	bankruptcy_value numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_adl_rank_bitmex';

COMMENT ON FUNCTION risk.adl_rank_bitmex(numeric, numeric, numeric) IS
'score by which positions are deleveraged, highest first: ret * lev of a profit, ret / lev of a loss, with ret = (mark_value - entry_value) / abs(entry_value) and lev = abs(mark_value) / (mark_value - bankruptcy_value). The values are signed, as cost is: linear qty * multiplier * price; so they do for a short, too, and for inverse contracts. mark_value - bankruptcy_value is what the position has left to lose: its share of the equity of the account. One fraction, rounded once, half away from zero, to 18 decimals. Example: long 10 from 100, mark 120, bankruptcy 60: ret 0.2, lev 2, score 0.4. NULL where nothing is left to lose, or entry_value is 0. Errors: 22023 unless all are finite';

CREATE FUNCTION risk.adl_rank_coinex(
	unrealized_pnl numeric,
	entry_value numeric,
	leverage numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_adl_rank_coinex';

COMMENT ON FUNCTION risk.adl_rank_coinex(numeric, numeric, numeric) IS
'score by which positions are deleveraged, highest first: profit in percent of the value at entry, times the leverage of the position: unrealized_pnl * 100 / abs(entry_value) * leverage. One fraction, rounded once, half away from zero, to 18 decimals. Example: a profit of 200 on 1,000 at 5x: 100. NULL where entry_value is 0. Errors: 22023 unless all are finite and leverage above zero';

CREATE FUNCTION risk.adl_rank_pnl_equity(
	unrealized_pnl numeric,
	equity numeric)
RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'risk_adl_rank_pnl_equity';

COMMENT ON FUNCTION risk.adl_rank_pnl_equity(numeric, numeric) IS
'score by which positions are deleveraged, highest first: unrealized_pnl / equity of the account, rounded half away from zero to 18 decimals. Example: a profit of 200 with an equity of 800: 0.25. NULL where the equity is not above zero. Errors: 22023 unless both are finite';

CREATE FUNCTION risk.loss_shares(
	claims numeric[],
	loss numeric,
	scale int)
RETURNS numeric[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'risk_loss_shares';

COMMENT ON FUNCTION risk.loss_shares(numeric[], numeric, int) IS
'what each bears of a loss: claim * min(1, loss / sum of the claims), in the order of the claims. Claims are rounded down to scale decimals; shares are rounded down, and the units that are then left go by largest remainder, of equals to the first (pass the claims by account_id). Nobody bears more than the claim; the shares are the loss exactly where the claims suffice, and else the claims. Example: {100,50,50} and a loss of 0.02 with 2 decimals: {0.01,0.01,0.00}. Errors: 22023 unless all are finite and not negative, scale from 0 to 38, loss with at most as many decimals, claims of one dimension without NULL';

CREATE FUNCTION risk.loss_shares(
	weights numeric[],
	limits numeric[],
	loss numeric,
	scale int)
RETURNS numeric[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'risk_loss_shares_by_weight';

COMMENT ON FUNCTION risk.loss_shares(numeric[], numeric[], numeric, int) IS
'what each bears of a loss by weight (contracts, say), nobody more than the limit: who reaches it bears that much, and the rest is shared among the others by weight. Rounding and errors as with claims; weights and limits have the same length';
