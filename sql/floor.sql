-- The floor of an account, and how it is changed.

CREATE FUNCTION risk.set_floor(account_id bigint, floor numeric, reason text, book_id int DEFAULT 1) RETURNS numeric
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_set_floor';
COMMENT ON FUNCTION risk.set_floor(bigint, numeric, text, int) IS
	'Sets what the balance of an account may not be below at commit, in units of its asset, and returns the floor before. Below 0 it is a credit line: withdrawals may use it, and a reset brings the balance to the floor, not to 0. Above 0 an insurance fund alone can have it, which then pays down to it. Waits for postings in flight. Every change is an event of kind floor_change with both floors, the balance and the reason. Errors: 23514 when it would be raised above the balance, 22023 for a floor above 0 of any other account, more digits than the asset has, an empty reason, or an account that has no floor, 23503 for an unknown account, 22004 for NULL.';
REVOKE ALL ON FUNCTION risk.set_floor(bigint, numeric, text, int) FROM PUBLIC;
