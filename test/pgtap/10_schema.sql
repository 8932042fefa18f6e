-- What every object of the extension and of a ledger has to be like.
-- Needs the extensions pgtap and risk_ext, and risk.install().
BEGIN;
SELECT no_plan();

-- What is there, is explained
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p
	 WHERE p.pronamespace = 'risk'::regnamespace AND coalesce(obj_description(p.oid, 'pg_proc'), '') = ''
$$, 'every function has a comment');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class c
	 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
	   AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''
$$, 'every table and view has a comment');
SELECT is_empty($$
	SELECT c.oid::regclass, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT a.attisdropped
	   -- a column for each table that it ties
	   AND c.relname <> 'wiring' AND coalesce(col_description(c.oid, a.attnum), '') = ''
$$, 'every column has a comment');

-- The extension owns functions only; the tables are their user's
SELECT is_empty($$
	SELECT d.classid::regclass, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'risk_ext'
	   AND d.classid NOT IN ('pg_proc'::regclass, 'pg_namespace'::regclass)
$$, 'the extension owns functions only');
SELECT is_empty($$
	SELECT d.objid::regclass FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
	 WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND c.relnamespace = 'ledger'::regnamespace
$$, 'no table of the ledger is a member of the extension');
SELECT is_empty($$
	SELECT d.classid::regclass, d.objid, d.refobjid::regprocedure
	  FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid
	 WHERE d.refclassid = 'pg_proc'::regclass AND p.pronamespace = 'risk'::regnamespace
	   AND d.classid NOT IN ('pg_trigger'::regclass, 'pg_rewrite'::regclass)
	   -- an aggregate is made of functions
	   AND NOT (d.classid = 'pg_proc'::regclass AND EXISTS (SELECT FROM pg_aggregate a WHERE a.aggfnoid = d.objid))
$$, 'no default, constraint or index calls a function of the extension');

-- Functions: who may run them, as whom, and what the planner may think of them
SELECT set_eq($$
	SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'risk'::regnamespace
	   AND p.provolatile = 'i' AND p.proisstrict AND p.proparallel = 's' AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
	   AND NOT 'internal'::regtype = ANY (p.proargtypes)
$$, ARRAY['unrealized_pnl', 'unrealized_pnl_at_cost', 'notional', 'maintenance_margin', 'initial_margin', 'withdrawable',
		  'liquidation_price', 'liquidation_price_at_cost', 'bankruptcy_price', 'bankruptcy_price_at_cost',
		  'equity', 'equity_at_cost', 'entry_price', 'margin_tier', 'liquidation_requirement', 'is_liquidatable',
		  'is_liquidatable_at_cost', 'free_collateral', 'max_order_qty', 'funding_payment', 'margin_ratio', 'margin_level',
		  'risk_ratio', 'effective_leverage', 'leverage_in_force', 'volatility_scale', 'scaled_rate', 'liquidation_fee_rate', 'liquidation_fee',
		  'replay_trades', 'collateral_value', 'collateral_share', 'adl_rank_bitmex', 'adl_rank_coinex', 'adl_rank_pnl_equity', 'loss_shares']::name[],
	'the formulas are immutable, strict and parallel safe');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	 WHERE p.pronamespace = 'risk'::regnamespace AND l.lanname = 'c'
	   AND p.provolatile <> 'v' AND (p.procost = 1 OR NOT p.proisstrict)
	   -- parts of aggregates
	   AND NOT 'internal'::regtype = ANY (p.proargtypes)
$$, 'every formula has a cost of its own and a rule for NULL');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p
	 WHERE p.pronamespace = 'risk'::regnamespace AND p.provolatile = 'v' AND p.proparallel <> 'u'
$$, 'what may write is not parallel safe');
SELECT volatility_is('risk', 'verify', ARRAY['integer'], 'stable', 'verify() only reads');
SELECT volatility_is('risk', 'system_account', ARRAY['integer', 'text', 'text'], 'stable', 'system_account() only reads');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	 WHERE p.pronamespace = 'risk'::regnamespace AND (p.prosecdef OR l.lanname <> 'c') AND p.prokind <> 'a'
	   AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
$$, 'every function that is not C, or runs as its owner, has its search_path set');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p
	 WHERE p.pronamespace = 'risk'::regnamespace AND p.prosecdef AND has_function_privilege('public', p.oid, 'EXECUTE')
$$, 'PUBLIC runs nothing as its owner');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p
	 WHERE p.pronamespace = 'risk'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE')
	   AND (p.provolatile = 'v' OR p.prorettype = 'trigger'::regtype)
$$, 'PUBLIC runs nothing that writes, and no trigger function');
SELECT ok(has_schema_privilege('public', 'risk', 'USAGE') AND NOT has_schema_privilege('public', 'risk', 'CREATE'),
		  'PUBLIC may use the formulas and make nothing beside them');
SELECT ok(NOT has_schema_privilege('public', 'ledger', 'USAGE') AND NOT has_schema_privilege('public', 'ledger', 'CREATE'),
		  'the ledger is not for PUBLIC');
SELECT is_empty($$
	SELECT c.oid::regclass, x.privilege_type FROM pg_class c, aclexplode(c.relacl) x
	 WHERE c.relnamespace = 'ledger'::regnamespace AND x.grantee = 0
$$, 'nothing in the ledger is granted to PUBLIC');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class c
	 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relowner <> (SELECT nspowner FROM pg_namespace WHERE nspname = 'ledger')
$$, 'all of it belongs to one owner');

-- Tables
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class c
	 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r' AND c.relname <> 'wiring'
	   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
$$, 'every table has a primary key');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'book_id'
	  JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
	 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r' AND k.conkey[1] <> a.attnum
$$, 'book_id comes first in the key of every table that has it');
SELECT is_empty($$
	SELECT k.conrelid::regclass, k.conname FROM pg_constraint k
	 WHERE k.connamespace = 'ledger'::regnamespace AND k.contype = 'f'
	   AND k.conrelid IN ('ledger.entry'::regclass, 'ledger.trade'::regclass, 'ledger.transfer'::regclass)
$$, 'entry, trade and transfer carry no foreign key');
SELECT is_empty($$
	SELECT a.attrelid::regclass, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	 WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
	   AND a.atttypid IN ('float4'::regtype, 'float8'::regtype, 'money'::regtype, 'timestamp'::regtype, 'json'::regtype)
$$, 'no amount is inexact and no time without its zone');
SELECT is((SELECT count(*) FROM ledger.wiring), 0::bigint, 'the hub is empty');
SELECT is_empty($$
	SELECT e.table_name, e.trigger_name FROM risk.ledger_triggers() e
	 WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = format('ledger.%I', e.table_name)::regclass
						AND t.tgname = e.trigger_name AND t.tgenabled = e.enabled)
$$, 'every trigger is present, in its mode');
SELECT is_empty($$
	SELECT t.tgrelid::regclass, t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
	 WHERE p.pronamespace = 'risk'::regnamespace
	   AND NOT EXISTS (SELECT FROM risk.ledger_triggers() e
						WHERE t.tgrelid = format('ledger.%I', e.table_name)::regclass AND t.tgname = e.trigger_name)
$$, 'and no other one calls the extension');

-- install() and what it leaves
SELECT lives_ok('SELECT risk.install()', 'install() may be repeated');
SELECT results_eq('SELECT book_id, name FROM ledger.book', 'VALUES (1, ''main'')', 'book 1 is there, once');
SELECT set_eq('SELECT policy_code FROM ledger.policy', ARRAY['default', 'electra', 'nebannpet', 'coinex', 'shared_loss', 'strict'], 'the shipped policies are there, once');
SELECT is_empty('SELECT * FROM risk.verify() WHERE violations > 0', 'an empty ledger is right');
SELECT is((SELECT extversion FROM pg_extension WHERE extname = 'risk_ext'),
		  (SELECT default_version FROM pg_available_extensions WHERE name = 'risk_ext'), 'the version is the default one');

SELECT * FROM finish();
ROLLBACK;
