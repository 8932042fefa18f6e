-- Who pays after the commit.

CREATE FUNCTION risk.settle(book_id int DEFAULT NULL)
RETURNS TABLE (book int, shortfall_id bigint, stage text, account_id bigint,
			   instrument_id int, qty numeric, price numeric, amount numeric)
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_settle';
COMMENT ON FUNCTION risk.settle(int) IS
	'Places what stands on suspense in a book (NULL: in every book), for each open shortfall by the stages of its policy that come after suspense, and returns a row for each position that was closed (instrument_id, qty, price) and each payment (amount, in the asset of the shortfall). adl: positions that the liquidity account took over from the bankrupt account are closed against the highest ranked of the other side, at the bankruptcy price; no fee, never the same owner, nobody whom adl_guard of the policy protects, not where the price is worse than the mark by more than adl_max_distance; what the liquidity account gains by it goes onto suspense. fund: what the insurance fund has above its floor. socialise: loss shares, see risk.loss_claims(); paid out of the balance, and where that does not suffice out of profit that is settled for it. house or receivable: the rest, and the house, too, what nobody can be asked for. Call it in a transaction of its own, at READ COMMITTED; several may call it at once, and nothing is done twice. A shortfall can stay open for the next call, when others were ahead of the queue than those who were locked: call it until it returns no row. 23503 for an unknown book.';
REVOKE ALL ON FUNCTION risk.settle(int) FROM PUBLIC;
