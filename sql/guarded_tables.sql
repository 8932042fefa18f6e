-- Guards: the floor of a balance in tables that are not those of a ledger.
-- Works without risk.install().

CREATE FUNCTION risk.enforce_guard() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_enforce_guard';
COMMENT ON FUNCTION risk.enforce_guard() IS
	'At commit: raises 23514 for a row that its trigger''s WHEN clause found below its floor, unless it was written again or deleted since. The message names the row by its primary key, the detail has the figures, as far as whoever commits may read them.';

CREATE FUNCTION risk.guard_terms(
	condition pg_node_tree, guarded oid,
	OUT balance_column name, OUT floor_column name, OUT floor text)
LANGUAGE c STABLE STRICT COST 100 AS 'MODULE_PATHNAME', 'risk_guard_terms';
COMMENT ON FUNCTION risk.guard_terms(pg_node_tree, oid) IS
	'What the condition of a guard (pg_trigger.tgqual) compares: a column of the table, and the column with its floor or a constant.';

CREATE FUNCTION risk.guards()
RETURNS TABLE (table_name regclass, balance_column name, floor_column name, floor text,
			   trigger_name name, enabled "char")
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT t.tgrelid::regclass, g.balance_column, g.floor_column, g.floor, t.tgname, t.tgenabled
	  FROM pg_trigger t
	 CROSS JOIN LATERAL risk.guard_terms(t.tgqual, t.tgrelid) g
	 WHERE t.tgfoid = 'risk.enforce_guard()'::regprocedure AND t.tgparentid = 0
	 ORDER BY t.tgrelid::regclass::text COLLATE "C", t.tgname
$function$;
COMMENT ON FUNCTION risk.guards() IS
	'The guards that risk.guard() put on tables: the table, the guarded column, the column with its floor or else the constant, the name of the trigger and its mode (O: fires unless in the replica role, A: always, R: in the replica role only, D: disabled). A partitioned table is one row.';

CREATE FUNCTION risk.place_guard(table_name regclass, balance_column name, floor_column name, floor numeric)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- rows that a policy hides would not be looked at: refuse instead
SET row_security = off
AS $function$
#variable_conflict use_variable
DECLARE
	relation record;
	part record;
	term text[];
	is_numeric boolean;
	condition text;
	key_columns text;
	key_values text;
	own_rows text;
	present boolean := false;
	existing record;
	offender record;
BEGIN
	IF table_name IS NULL OR balance_column IS NULL OR (floor_column IS NULL AND floor IS NULL) THEN
		RAISE EXCEPTION 'a guard needs a table, a column and a floor'
			USING ERRCODE = '22004', HINT = 'Without a floor of your own it is 0: risk.guard(''my_table'', ''my_column'').';
	END IF;
	SELECT c.relkind, c.relowner INTO relation FROM pg_class c WHERE c.oid = table_name;
	IF relation.relkind IS NULL THEN
		RAISE EXCEPTION 'there is no table with OID %', table_name::oid USING ERRCODE = '42P01';
	ELSIF relation.relkind NOT IN ('r', 'p') THEN
		RAISE EXCEPTION '% is not a table', table_name
			USING ERRCODE = '42809', HINT = 'A guard can be put on ordinary and on partitioned tables.';
	ELSIF NOT pg_has_role(current_user, relation.relowner, 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of table %', table_name
			USING ERRCODE = '42501', DETAIL = format('The owner is %s.', pg_get_userbyid(relation.relowner));
	ELSIF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
		RAISE EXCEPTION 'a guard cannot be put on a table at isolation level %', current_setting('transaction_isolation')
			USING ERRCODE = '25001', DETAIL = 'Rows that were committed since the transaction began would not be looked at.',
				  HINT = 'Use READ COMMITTED.';
	ELSIF floor IN ('NaN', 'Infinity', '-Infinity') THEN
		RAISE EXCEPTION 'a floor cannot be %', floor
			USING ERRCODE = '22023', HINT = 'For rows without a floor, use a floor column that is NULL in them.';
	END IF;

	-- the rows of a partitioned table are those of its partitions; other tables
	-- that inherit have triggers of their own
	own_rows := CASE relation.relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || table_name;
	EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', own_rows);

	-- the lock first: no column changes any more
	FOR part IN
		WITH RECURSIVE base AS (
			SELECT w.name, w.n, a.attgenerated, a.atttypid AS type, a.atttypid AS declared
			  FROM unnest(ARRAY[balance_column, floor_column]) WITH ORDINALITY AS w(name, n)
			  LEFT JOIN pg_attribute a ON a.attrelid = table_name AND a.attname = w.name
									  AND a.attnum > 0 AND NOT a.attisdropped
			 WHERE w.name IS NOT NULL
			UNION ALL
			SELECT b.name, b.n, b.attgenerated, t.typbasetype, b.declared
			  FROM base b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd')
		SELECT DISTINCT ON (b.n) b.name, b.attgenerated, b.type, b.declared
		  FROM base b LEFT JOIN pg_type t ON t.oid = b.type
		 WHERE t.typtype IS DISTINCT FROM 'd'
		 ORDER BY b.n
	LOOP
		IF part.type IS NULL THEN
			RAISE EXCEPTION 'column "%" of table % does not exist', part.name, table_name
				USING ERRCODE = '42703', HINT = 'A floor that is a constant is passed as a number, without quotes.';
		ELSIF part.type IN ('real'::regtype, 'double precision'::regtype) THEN
			RAISE EXCEPTION 'column "%" of table % is of type %', part.name, table_name, format_type(part.declared, NULL)
				USING ERRCODE = '42804', DETAIL = 'A floating-point number is not exact, and money must be.',
					  HINT = format('ALTER TABLE %s ALTER COLUMN %I TYPE numeric;', table_name, part.name);
		ELSIF part.type NOT IN ('numeric'::regtype, 'bigint'::regtype, 'integer'::regtype, 'smallint'::regtype, 'money'::regtype) THEN
			RAISE EXCEPTION 'column "%" of table % is of type %', part.name, table_name, format_type(part.declared, NULL)
				USING ERRCODE = '42804', DETAIL = 'A guard compares numeric, bigint, integer, smallint and money, and domains over them.';
		ELSIF part.attgenerated = 'v' THEN
			RAISE EXCEPTION 'column "%" of table % is a virtual generated column', part.name, table_name
				USING ERRCODE = '0A000', HINT = 'Make it a stored one, or guard what it is generated from.';
		END IF;
		-- money is compared as the number that it stands for
		term := term || format(CASE part.type WHEN 'money'::regtype THEN 'new.%I::numeric' ELSE 'new.%I' END, part.name);
		is_numeric := coalesce(is_numeric, part.type = 'numeric'::regtype);
	END LOOP;

	-- A balance that is NULL, NaN or infinite is not at its floor; without a
	-- floor nothing is asked of it.
	condition := format('(%s >= %s', term[1], coalesce(term[2], quote_literal(floor) || '::numeric'))
		|| CASE WHEN is_numeric THEN format(' AND %s < ''Infinity''::numeric', term[1]) ELSE '' END
		|| ') IS NOT TRUE'
		|| CASE WHEN floor_column IS NOT NULL THEN format(' AND new.%I IS NOT NULL', floor_column) ELSE '' END;

	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n), string_agg(format('new.%I', a.attname), ', ' ORDER BY k.n)
	  INTO key_columns, key_values
	  FROM pg_index i
	 CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
	  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
	 WHERE i.indrelid = table_name AND i.indisprimary AND k.n <= i.indnkeyatts;
	EXECUTE format('SELECT count(*) OVER () AS n, %s AS place, (%s)::text AS balance, (%s)::text AS floor FROM %s AS new WHERE %s%s LIMIT 1',
				   CASE WHEN key_columns IS NULL THEN '''a row'''
						ELSE format('format(''row (%%s)=(%%s)'', %L, concat_ws('', '', %s))', key_columns, key_values) END,
				   term[1], coalesce(term[2], quote_literal(floor) || '::numeric'), own_rows, condition,
				   coalesce(' ORDER BY ' || key_values, ''))
	   INTO offender;
	IF offender.n IS NOT NULL THEN
		RAISE EXCEPTION 'column "%" of % in table % is below its floor', balance_column, offender.place, table_name
			USING ERRCODE = '23514',
				  DETAIL = format('It is %s, the floor is %s. %s in the table.', coalesce(offender.balance, 'NULL'), offender.floor,
								  CASE offender.n WHEN 1 THEN 'There is no other such row' ELSE format('There are %s such rows', offender.n) END),
				  HINT = 'Bring what is there up to its floor first.';
	END IF;

	FOR existing IN SELECT g.* FROM risk.guards() g WHERE g.table_name = table_name AND g.balance_column = balance_column LOOP
		IF existing.enabled IN ('O', 'A') AND existing.floor_column IS NOT DISTINCT FROM floor_column
			AND existing.floor IS NOT DISTINCT FROM (CASE WHEN floor_column IS NULL THEN floor::text END) THEN
			present := true;
		ELSE
			EXECUTE format('DROP TRIGGER %I ON %s', existing.trigger_name, table_name);
		END IF;
	END LOOP;
	IF NOT present THEN
		EXECUTE format('CREATE CONSTRAINT TRIGGER %I AFTER INSERT OR UPDATE ON %s DEFERRABLE INITIALLY DEFERRED '
					   'FOR EACH ROW WHEN (%s) EXECUTE FUNCTION risk.enforce_guard()',
					   ('risk_guard_' || balance_column)::name, table_name, condition);
	END IF;

	IF relation.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = table_name) THEN
		RAISE WARNING 'the tables that inherit from % are not guarded with it', table_name
			USING HINT = 'Call risk.guard() for each of them.';
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.place_guard(regclass, name, name, numeric) IS
	'What both forms of risk.guard() do.';

CREATE FUNCTION risk.guard(table_name regclass, balance_column name, floor numeric DEFAULT 0) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$ SELECT risk.place_guard(table_name, balance_column, NULL, floor) $function$;
COMMENT ON FUNCTION risk.guard(regclass, name, numeric) IS
	'From now on no transaction commits with a row of the table whose balance_column is below floor, NULL, NaN or infinite: 23514 at commit, naming the row by its primary key. What is healed or deleted before commit is fine. The column is numeric, bigint, integer, smallint or money (42804 otherwise), and keeps its type while it is guarded; it can be renamed. A partitioned table is guarded with all its partitions, also later ones; rows that a table brings along when it is attached are looked at when this is called again. For another floor call it again; the same changes nothing. The owner of the table only (42501); waits for transactions that write to the table. 23514 when a row is below the floor already.';

CREATE FUNCTION risk.guard(table_name regclass, balance_column name, floor_column name) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$ SELECT risk.place_guard(table_name, balance_column, floor_column, NULL) $function$;
COMMENT ON FUNCTION risk.guard(regclass, name, name) IS
	'The same with a floor for each row, in floor_column: no transaction commits with a row whose balance_column is below it, NULL, NaN or infinite. A row whose floor is NULL has none.';

CREATE FUNCTION risk.unguard(table_name regclass, balance_column name DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_variable
DECLARE
	existing record;
BEGIN
	FOR existing IN
		SELECT g.trigger_name FROM risk.guards() g
		 WHERE g.table_name = table_name AND (balance_column IS NULL OR g.balance_column = balance_column)
	LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', existing.trigger_name, table_name);
	END LOOP;
	IF NOT FOUND THEN
		RAISE NOTICE 'table % has no such guard', table_name;
	END IF;
END
$function$;
COMMENT ON FUNCTION risk.unguard(regclass, name) IS
	'Takes the guards off a table, or the guard of one column. The owner of the table only (42501). A notice when there is none.';

REVOKE ALL ON FUNCTION
	risk.enforce_guard(), risk.place_guard(regclass, name, name, numeric),
	risk.guard(regclass, name, numeric), risk.guard(regclass, name, name), risk.unguard(regclass, name)
FROM PUBLIC;
