-- partitions.sql
--		Tables of a ledger that are partitioned by period, the day of a row in
--		UTC, and the partitions that they have and get.
--
-- Names and bounds are those that pg_partman 5 makes: trade_p20261101 for rows
-- from that day on, trade_default for what has no partition.  There is nothing
-- else to configure: a coming partition is as wide as the last one.

CREATE FUNCTION risk.partitions(
	OUT table_name text, OUT partition_name text, OUT from_period date, OUT to_period date)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
-- the form in which bounds are printed
SET datestyle = 'ISO, YMD'
AS $function$
	SELECT t.relname::text, c.relname::text,
		   CASE bound.part[1] WHEN 'MINVALUE' THEN '-infinity' ELSE trim(bound.part[1], '''')::date END,
		   CASE bound.part[2] WHEN 'MAXVALUE' THEN 'infinity' ELSE trim(bound.part[2], '''')::date END
	  FROM pg_class t
	 CROSS JOIN LATERAL pg_partition_tree(t.oid) p
	  JOIN pg_class c ON c.oid = p.relid
	  LEFT JOIN LATERAL (
		SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \((.*)\) TO \((.*)\)$') AS part
		 WHERE p.level = 1) bound ON true
	 WHERE t.relnamespace = to_regnamespace('ledger') AND t.relkind = 'p' AND NOT t.relispartition AND p.level > 0
	 ORDER BY t.relname, 3, c.relname
$function$;
COMMENT ON FUNCTION risk.partitions() IS
	'The partitions of the tables of a ledger: table, partition, and the periods that it has, from from_period on and before to_period; NULL for the default partition. No rows where the tables are plain.';

CREATE FUNCTION risk.partition_width(from_period date, to_period date) RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT CASE WHEN extract(day FROM from_period) = 1 AND extract(day FROM to_period) = 1
				THEN age(to_period, from_period)
				ELSE make_interval(days => to_period - from_period) END
$function$;
COMMENT ON FUNCTION risk.partition_width(date, date) IS
	'How wide a partition is: whole months where it begins and ends with one, else days.';

CREATE FUNCTION risk.create_partition(table_name text, from_period date, to_period date) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
DECLARE
	partition_name text := format('%s_p%s', table_name, to_char(from_period, 'YYYYMMDD'));
	default_name text;
	look text;
	rows_in_default boolean := false;
BEGIN
	SELECT p.partition_name INTO default_name
	  FROM risk.partitions() p
	 WHERE p.table_name = create_partition.table_name AND p.from_period IS NULL
	 ORDER BY p.partition_name LIMIT 1;
	IF default_name IS NOT NULL THEN
		look := format('SELECT EXISTS (SELECT FROM ledger.%I WHERE period >= $1 AND period < $2)', default_name);
		-- Rows that came while there was no partition for them move, and the
		-- table is locked first: that is the order in which postings lock.
		EXECUTE look INTO rows_in_default USING from_period, to_period;
		IF rows_in_default THEN
			EXECUTE format('LOCK TABLE ONLY ledger.%I IN ACCESS EXCLUSIVE MODE', table_name);
		END IF;
		EXECUTE format('LOCK TABLE ledger.%I IN ACCESS EXCLUSIVE MODE', default_name);
		-- and those of a posting that was in flight
		EXECUTE look INTO rows_in_default USING from_period, to_period;
	END IF;

	-- CREATE TABLE PARTITION OF would lock the table, and wait for all who post.
	EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
				   partition_name, table_name);
	EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', partition_name,
				   format('The rows of ledger.%s with a period from %s on and before %s.', table_name, from_period, to_period));

	IF rows_in_default THEN
		EXECUTE format('ALTER TABLE ledger.%I DETACH PARTITION ledger.%I', table_name, default_name);
		EXECUTE format('WITH moved AS (DELETE FROM ledger.%I WHERE period >= $1 AND period < $2 RETURNING *)'
					   ' INSERT INTO ledger.%I SELECT * FROM moved', default_name, partition_name)
		  USING from_period, to_period;
	END IF;
	EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
				   table_name, partition_name, from_period, to_period);
	IF rows_in_default THEN
		EXECUTE format('ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I DEFAULT', table_name, default_name);
	END IF;
	RETURN partition_name;
END
$function$;
COMMENT ON FUNCTION risk.create_partition(text, date, date) IS
	'Makes one partition of a table of the ledger and returns its name; rows of these periods that are in the default partition move into it, and postings wait for that. A part of risk.create_partitions().';

CREATE FUNCTION risk.close_partitions() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	granted record;
BEGIN
	FOR granted IN
		SELECT DISTINCT c.oid::regclass AS name,
			   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(a.grantee)) END AS grantee
		  FROM (SELECT p.partition_name FROM risk.partitions() p
				UNION ALL
				SELECT d.name FROM risk.detached_tables() AS d(name)) p
		  JOIN pg_class c ON c.oid = to_regclass(format('ledger.%I', p.partition_name))
		 CROSS JOIN LATERAL aclexplode(c.relacl) a
		 WHERE a.grantee <> c.relowner
	LOOP
		EXECUTE format('REVOKE ALL ON %s FROM %s', granted.name, granted.grantee);
	END LOOP;
END
$function$;
COMMENT ON FUNCTION risk.close_partitions() IS
	'Takes from everybody but the owner all privileges on partitions, detached ones too: rows are read and written by way of the table, where its triggers and row policies are.';

CREATE FUNCTION risk.create_partitions(ahead int DEFAULT 2, width interval DEFAULT NULL)
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
-- It locks default partitions, against whoever reads all of a table: resets
-- do, and they would wait behind it for a report that takes its time.
SET lock_timeout = '5s'
AS $function$
DECLARE
	today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
	partitioned record;
	step interval;
	from_period date;
	to_period date;
BEGIN
	IF (create_partitions.ahead BETWEEN 0 AND 1000) IS NOT TRUE THEN
		RAISE EXCEPTION 'invalid number of partitions'
			USING ERRCODE = '22023', DETAIL = format('ahead is %s.', coalesce(ahead::text, 'NULL')),
				  HINT = 'It is 0 or more, at most 1000.';
	END IF;
	IF create_partitions.width < interval '1 day' OR (today + create_partitions.width)::date <> today + create_partitions.width THEN
		RAISE EXCEPTION 'invalid width of a partition'
			USING ERRCODE = '22023', DETAIL = format('width is %s.', width),
				  HINT = 'It is whole days or months.';
	END IF;

	FOR partitioned IN
		SELECT t.relname::text AS name, last.from_period, last.to_period
		  FROM pg_class t
		  LEFT JOIN LATERAL (
			SELECT p.from_period, p.to_period FROM risk.partitions() p
			 WHERE p.table_name = t.relname AND p.to_period IS NOT NULL
			 ORDER BY p.to_period DESC LIMIT 1) last ON true
		 WHERE t.relnamespace = to_regnamespace('ledger') AND t.relkind = 'p' AND NOT t.relispartition
		 ORDER BY t.relname
	LOOP
		step := coalesce(create_partitions.width, risk.partition_width(partitioned.from_period, partitioned.to_period));
		IF step IS NULL THEN
			RAISE EXCEPTION 'table "%" has no partition yet', partitioned.name
				USING ERRCODE = '55000', HINT = 'Say how wide the first one is to be: risk.create_partitions(width => ''1 month'').';
		END IF;
		from_period := partitioned.to_period;
		IF from_period IS NULL THEN
			EXECUTE format('CREATE TABLE IF NOT EXISTS ledger.%I PARTITION OF ledger.%I DEFAULT',
						   partitioned.name || '_default', partitioned.name);
			EXECUTE format('COMMENT ON TABLE ledger.%I IS %L', partitioned.name || '_default',
						   format('The rows of ledger.%s that have no partition. risk.create_partitions() moves them into theirs.', partitioned.name));
			-- a row may be of the day that has just ended
			from_period := date_trunc(CASE WHEN step >= interval '1 month' THEN 'month' ELSE 'day' END, today - interval '1 day');
		END IF;
		WHILE from_period <= today + ahead * step LOOP
			to_period := from_period + step;
			RETURN NEXT risk.create_partition(partitioned.name, from_period, to_period);
			from_period := to_period;
		END LOOP;
	END LOOP;
	PERFORM risk.create_triggers();
	PERFORM risk.close_partitions();
END
$function$;
COMMENT ON FUNCTION risk.create_partitions(int, interval) IS
	'Makes the partitions of the running period and of so many to come that are missing, without a gap after the last one, and returns their names; guards those that somebody else made. width: of the new ones, in days or months; NULL: that of the last one. To be run by a scheduler, as the owner of the ledger; may be repeated. What is posted in a period without a partition goes to the default partition, and is moved when the partition is made: only then does it lock out postings. Plain tables have none. 22023 for a number or a width that cannot be, 55000 where nothing tells the width, 55P03 when others read the whole of a table for more than five seconds: try again.';

REVOKE ALL ON FUNCTION
	risk.create_partition(text, date, date), risk.close_partitions(), risk.create_partitions(int, interval)
FROM PUBLIC;
