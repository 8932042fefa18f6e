-- ledger.sql
--		The sides of bench/ledger: the ledger, and what one would write in SQL
--		instead, each with :accounts accounts and one deposit to each of them.
--
-- All tables have the columns, keys and indexes of those of the ledger.  What
-- each side does with a transfer:
--
--	none		inserts the transfer and two entries.  No balance, no
--				balance_after, nothing is locked or checked.
--	checked		the same, and updates both balances under CHECK (amount >=
--				floor), in one statement, in the order of the accounts.
--				balance_after and the sequence number come out of the update.
--	row_trigger	INSERT of the transfer alone; a PL/pgSQL row trigger updates the
--				two balances in the order of the accounts and writes the entries.
--	s1			batches only: one function over arrays, first all transfers and
--				entries, then one sum per account onto the balances, in order.
--				No balance_after, no sequence number.
--	s3			batches only: locks the balances in order, then as s1, but with
--				balance_after and sequence number of each entry by windows.
--	pgledger	where it is installed: its own functions, its own tables.
--	risk_ext	INSERT of the transfer.  Balances, entries with balance_after and
--				sequence number, kinds and states of the accounts, scale, free
--				collateral, floor at commit.
--	risk_ext_batch	batches only: the same by risk.post_batch(), with a result for
--				each transfer.
--
-- No other side looks at positions, reserves, states or scales.

\set ON_ERROR_STOP 1
\set QUIET 1
SET client_min_messages = warning;
\o /dev/null

CREATE EXTENSION pg_walinspect;
CREATE EXTENSION risk_ext;
SELECT risk.install();
INSERT INTO ledger.asset VALUES ('USD', 2);
INSERT INTO ledger.account (account_id, asset_code) SELECT a, 'USD' FROM generate_series(1, :accounts) a;
INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
SELECT risk.system_account(1, 'external', 'USD'), a, 1000000, 'deposit' FROM generate_series(1, :accounts) a;

CREATE SCHEMA bench;
CREATE TABLE bench.result (
	section text NOT NULL, side text NOT NULL, round int NOT NULL,
	per_second numeric, cpu_us numeric, retried int
);
CREATE TABLE bench.figure (section text NOT NULL, side text NOT NULL, round int NOT NULL, name text NOT NULL, value numeric);

-- The same batches for all sides.
CREATE TABLE bench.batch (size int, number int, froms bigint[], tos bigint[], amounts numeric[], PRIMARY KEY (size, number));
SELECT setseed(0.5);
INSERT INTO bench.batch
SELECT s.size, n, array_agg(d.from_account), array_agg(1 + (d.from_account - 1 + d.distance) % :accounts), array_agg(d.amount)
  FROM (VALUES (100), (1000)) AS s(size), generate_series(1, 100) n,
	   LATERAL (SELECT 1 + floor(random() * :accounts)::bigint AS from_account,
					   1 + floor(random() * (:accounts - 1))::bigint AS distance,
					   round((0.01 + random() * 10)::numeric, 2) AS amount
				  FROM generate_series(1, s.size + 0 * n)) AS d
 GROUP BY s.size, n;
VACUUM (ANALYZE, FREEZE) bench.batch;

CREATE FUNCTION bench.create_side(side text, has_balance_after boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($ddl$
		CREATE SCHEMA %1$I;
		CREATE TABLE %1$I.transfer (LIKE ledger.transfer INCLUDING ALL);
		CREATE TABLE %1$I.entry (LIKE ledger.entry INCLUDING ALL);
		CREATE TABLE %1$I.balance (LIKE ledger.balance INCLUDING ALL, CHECK (amount >= floor)) WITH (fillfactor = 50);
		INSERT INTO %1$I.transfer (from_account, to_account, amount, kind)
		SELECT from_account, to_account, amount, kind FROM ledger.transfer;
		INSERT INTO %1$I.entry SELECT * FROM ledger.entry;
		INSERT INTO %1$I.balance SELECT * FROM ledger.balance WHERE slot = 0;
		$ddl$, side);
	IF NOT has_balance_after THEN
		EXECUTE format('ALTER TABLE %I.entry ALTER balance_after DROP NOT NULL', side);
	END IF;
END $$;
SELECT bench.create_side(s.side, s.has_balance_after)
  FROM (VALUES ('none', false), ('checked', true), ('row_trigger', true), ('s1', false), ('s3', true)) s(side, has_balance_after);

CREATE FUNCTION row_trigger.post() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	leg record;
	after record;
BEGIN
	FOR leg IN SELECT * FROM (VALUES (NEW.from_account, -NEW.amount), (NEW.to_account, NEW.amount)) l(account_id, amount) ORDER BY 1 LOOP
		UPDATE row_trigger.balance b
		   SET amount = b.amount + leg.amount, seq = b.seq + 1, posted_at = greatest(clock_timestamp(), b.posted_at)
		 WHERE b.book_id = NEW.book_id AND b.slot = 0 AND b.account_id = leg.account_id
		RETURNING * INTO STRICT after;
		INSERT INTO row_trigger.entry (book_id, slot, account_id, seq, posted_at, effective_at, cause, period, amount, balance_after, kind)
		VALUES (NEW.book_id, 0, leg.account_id, after.seq, after.posted_at, NEW.effective_at, NEW.transfer_id,
				NEW.period, leg.amount, after.amount, NEW.kind);
	END LOOP;
	RETURN NULL;
END $$;
CREATE TRIGGER post AFTER INSERT ON row_trigger.transfer FOR EACH ROW EXECUTE FUNCTION row_trigger.post();

-- Nested loops: other joins would lock the balances in an order of their own.
CREATE FUNCTION none.post(froms bigint[], tos bigint[], amounts numeric[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WITH t AS (
		INSERT INTO none.transfer (from_account, to_account, amount) SELECT * FROM unnest(froms, tos, amounts) RETURNING *)
	INSERT INTO none.entry (book_id, slot, account_id, seq, posted_at, effective_at, cause, period, amount, kind)
	SELECT t.book_id, 0, l.account_id, t.transfer_id, clock_timestamp(), t.effective_at, t.transfer_id, t.period, l.amount, t.kind
	  FROM t, LATERAL (VALUES (t.from_account, -t.amount), (t.to_account, t.amount)) l(account_id, amount);
END $$;

CREATE FUNCTION s1.post(froms bigint[], tos bigint[], amounts numeric[]) RETURNS void LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
	WITH t AS (
		INSERT INTO s1.transfer (from_account, to_account, amount) SELECT * FROM unnest(froms, tos, amounts) RETURNING *)
	INSERT INTO s1.entry (book_id, slot, account_id, seq, posted_at, effective_at, cause, period, amount, kind)
	SELECT t.book_id, 0, l.account_id, t.transfer_id, clock_timestamp(), t.effective_at, t.transfer_id, t.period, l.amount, t.kind
	  FROM t, LATERAL (VALUES (t.from_account, -t.amount), (t.to_account, t.amount)) l(account_id, amount);
	UPDATE s1.balance b SET amount = b.amount + d.amount, seq = b.seq + d.n, posted_at = greatest(clock_timestamp(), b.posted_at)
	  FROM (SELECT l.account_id, sum(l.amount) AS amount, count(*) AS n
			  FROM unnest(froms, tos, amounts) u(f, t, a), LATERAL (VALUES (u.f, -u.a), (u.t, u.a)) l(account_id, amount)
			 GROUP BY l.account_id ORDER BY l.account_id) d
	 WHERE b.book_id = 1 AND b.slot = 0 AND b.account_id = d.account_id;
END $$;

CREATE FUNCTION s3.post(froms bigint[], tos bigint[], amounts numeric[]) RETURNS void LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
	PERFORM FROM (SELECT DISTINCT u FROM unnest(froms || tos) u ORDER BY 1) u(account_id), LATERAL (
		SELECT FROM s3.balance b WHERE b.book_id = 1 AND b.slot = 0 AND b.account_id = u.account_id FOR NO KEY UPDATE) b;
	WITH t AS (
		INSERT INTO s3.transfer (from_account, to_account, amount) SELECT * FROM unnest(froms, tos, amounts) RETURNING *),
	e AS (
		SELECT t.*, l.account_id, l.amount AS leg,
			   row_number() OVER w AS n, sum(l.amount) OVER w AS running
		  FROM t, LATERAL (VALUES (t.from_account, -t.amount), (t.to_account, t.amount)) l(account_id, amount)
		WINDOW w AS (PARTITION BY l.account_id ORDER BY t.transfer_id ROWS UNBOUNDED PRECEDING))
	INSERT INTO s3.entry (book_id, slot, account_id, seq, posted_at, effective_at, cause, period, amount, balance_after, kind)
	SELECT e.book_id, 0, e.account_id, b.seq + e.n, greatest(clock_timestamp(), b.posted_at), e.effective_at, e.transfer_id, e.period,
		   e.leg, b.amount + e.running, e.kind
	  FROM e, LATERAL (SELECT * FROM s3.balance b WHERE b.book_id = 1 AND b.slot = 0 AND b.account_id = e.account_id OFFSET 0) b;
	UPDATE s3.balance b SET amount = b.amount + d.amount, seq = b.seq + d.n, posted_at = greatest(clock_timestamp(), b.posted_at)
	  FROM (SELECT l.account_id, sum(l.amount) AS amount, count(*) AS n
			  FROM unnest(froms, tos, amounts) u(f, t, a), LATERAL (VALUES (u.f, -u.a), (u.t, u.a)) l(account_id, amount)
			 GROUP BY l.account_id ORDER BY l.account_id) d
	 WHERE b.book_id = 1 AND b.slot = 0 AND b.account_id = d.account_id;
END $$;

-- The first 1,000 and the last 1,000 of as many INSERTs of one row in one
-- transaction, in seconds.
CREATE FUNCTION bench.insert_singly(n int, accounts bigint, OUT first numeric, OUT last numeric) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
BEGIN
	FOR i IN 1 .. n LOOP
		IF i IN (1, n - 999) THEN
			began := clock_timestamp();
		END IF;
		INSERT INTO ledger.transfer (from_account, to_account, amount)
		VALUES (1 + i::bigint * 7919 % accounts, 1 + (i::bigint * 7919 + 1 + i % 97) % accounts, 0.01);
		IF i = 1000 THEN
			first := extract(epoch FROM clock_timestamp() - began);
		END IF;
	END LOOP;
	last := extract(epoch FROM clock_timestamp() - began);
END $$;
