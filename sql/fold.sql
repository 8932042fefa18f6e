-- What a system account holds in many slots, brought together.

CREATE FUNCTION risk.fold_slots(book_id int DEFAULT NULL) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_fold_slots';
COMMENT ON FUNCTION risk.fold_slots(int) IS
	'Moves what system accounts of a book (NULL: of every book) hold in slots >= 1 to slot 0 and returns how many slots it emptied. Never waits for a slot: one that a posting in flight has locked is left for the next call. Takes the gate of each book until the transaction ends, so call it in a transaction of its own, at READ COMMITTED; at REPEATABLE READ a slot that changes while it is being locked raises 40001. Empty slots stay and are used again. 23503 for an unknown book.';
REVOKE ALL ON FUNCTION risk.fold_slots(int) FROM PUBLIC;
