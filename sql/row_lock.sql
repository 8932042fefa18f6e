-- row_lock.sql
--		Rows locked at once or not at all, where SKIP LOCKED may wait.

CREATE FUNCTION risk.lock_if_free(table_name regclass, row_id tid) RETURNS boolean
LANGUAGE c VOLATILE STRICT COST 100
AS 'MODULE_PATHNAME', 'risk_lock_if_free';
COMMENT ON FUNCTION risk.lock_if_free(regclass, tid) IS
	'Locks a row FOR NO KEY UPDATE, given its table and ctid in this statement, and says whether it could at once: false when another transaction holds it, or has changed it and this one is not at READ COMMITTED. Unlike SKIP LOCKED it never waits; what the row has become is for the next statement to read. Errors: 42501 without UPDATE on the table, 42809 for what is no plain table, 25006 in a read-only transaction.';

REVOKE ALL ON FUNCTION risk.lock_if_free(regclass, tid) FROM PUBLIC;
