-- worker.sql
--		The background worker, as it is started and stopped by hand.

CREATE FUNCTION risk.worker_pid() RETURNS int
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
	-- the lock of worker.c
	SELECT l.pid FROM pg_locks l
	 WHERE l.locktype = 'userlock' AND l.classid = 'pg_extension'::regclass AND l.objid = 1919513451 AND l.granted
	   AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
$function$;
COMMENT ON FUNCTION risk.worker_pid() IS
	'The process of the background worker of this database; NULL: none runs. What it is doing is in pg_stat_activity.';

CREATE FUNCTION risk.launch_worker() RETURNS int
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_launch_worker';
COMMENT ON FUNCTION risk.launch_worker() IS
	'Starts a background worker in this database and returns its process. A part of risk.start_worker(): it ends at once where one runs.';

CREATE FUNCTION risk.end_worker() RETURNS int
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_end_worker';
COMMENT ON FUNCTION risk.end_worker() IS
	'Tells the background worker of this database to end and returns its process; NULL: none runs. A part of risk.stop_worker().';

CREATE FUNCTION risk.wake_worker() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_wake_worker';
COMMENT ON FUNCTION risk.wake_worker() IS
	'Lets the background worker look at once when this transaction commits, instead of after risk_ext.worker_interval; a hint, and nothing where the library is not preloaded. Called when a mark price is accepted.';

CREATE FUNCTION risk.start_worker() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	pid int := risk.worker_pid();
BEGIN
	IF pid IS NOT NULL THEN
		RETURN pid;
	END IF;
	pid := risk.launch_worker();
	-- until it has its lock, so that risk.stop_worker() finds it
	FOR attempt IN 1 .. 100 LOOP
		EXIT WHEN risk.worker_pid() IS NOT NULL;
		PERFORM pg_sleep(0.05);
	END LOOP;
	RETURN coalesce(risk.worker_pid(), pid);
END
$function$;
COMMENT ON FUNCTION risk.start_worker() IS
	'Starts the background worker of this database, unless it runs, and returns its process. For servers that do not have risk_ext in shared_preload_libraries, or for another database than risk_ext.worker_database. It runs until risk.stop_worker(), the end of the server or DROP EXTENSION; after a crash it comes back, after a restart of the server it does not. In every round it calls, each in a transaction of its own, those of these functions that are there and have something to do: confirm_held_ticks, trigger_stop_orders, reband, reband_due, sweep_account (for each account that the marks have reached), alert_account (likewise), hold_gainers, settle, expire_holds, accrue_penalties, expire_deposits, apply_freezes, close_accounts, watch_funds, fold_slots, create_partitions, relay_events. An error in one is logged and does not keep the others; it is tried again, after pauses that grow to a minute. Errors: 53000 when no process is free, 25006 on a standby.';

CREATE FUNCTION risk.stop_worker() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	pid int := risk.end_worker();
BEGIN
	IF pid IS NULL THEN
		RETURN false;
	END IF;
	FOR attempt IN 1 .. 600 LOOP
		IF risk.worker_pid() IS DISTINCT FROM pid THEN
			RETURN true;
		END IF;
		PERFORM pg_sleep(0.05);
	END LOOP;
	RAISE EXCEPTION 'the background worker does not end'
		USING ERRCODE = '55000', DETAIL = format('It is process %s.', pid),
			  HINT = 'See in pg_stat_activity what it is doing.';
END
$function$;
COMMENT ON FUNCTION risk.stop_worker() IS
	'Ends the background worker of this database, the statement it is running included, and returns whether there was one. It stays away until risk.start_worker(), or, where risk_ext.worker_database names this database, until the server starts again. 55000 when it has not ended after 30 seconds.';

REVOKE ALL ON FUNCTION risk.launch_worker(), risk.end_worker(), risk.wake_worker(), risk.worker_pid(), risk.start_worker(), risk.stop_worker() FROM PUBLIC;
