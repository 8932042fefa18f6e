-- Two roads to the same rows: posting writes plain tables by key, and leaves
-- tables that have anything of their own to statements.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(b, 'roads') FROM (VALUES (610), (611), (612), (613), (614)) v(b);
INSERT INTO ledger.account (book_id, account_id, asset_code)
SELECT b, a, 'USDT' FROM generate_series(610, 614) b, generate_series(1, 8) a;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (6101, 'BTC/USDT 610', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (6101, 100);

-- Which road: the guard of entry and balance is a trigger for statements, and
-- does not even run where there is no statement.
CREATE FUNCTION pg_temp.statements(book int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint := coalesce((SELECT sum(calls) FROM pg_stat_xact_user_functions WHERE schemaname = 'risk' AND funcname = 'refuse_write'), 0);
BEGIN
	SET LOCAL track_functions = 'all';
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (book, 3, 4, 0.01), (book, 4, 3, 0.01);
	RETURN coalesce((SELECT sum(calls) FROM pg_stat_xact_user_functions WHERE schemaname = 'risk' AND funcname = 'refuse_write'), 0) - before;
END $$;

-- All sorts of posting in one book.
CREATE FUNCTION pg_temp.post_all(book int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int;
BEGIN
	FOR a IN 1 .. 8 LOOP
		PERFORM risk.deposit(a, 1000 * a, book);
	END LOOP;
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
	SELECT book, 1 + g % 8, 1 + (g + 1 + g % 6) % 8, 0.01 * g FROM generate_series(1, 700) g;
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
	VALUES (book, 3, risk.system_account(book, 'fee', 'USDT'), 1.5, 'fee'),
		   (book, 4, risk.system_account(book, 'insurance_fund', 'USDT'), 300, 'transfer'),
		   (book, risk.system_account(book, 'insurance_fund', 'USDT'), 5, 20, 'transfer');
	PERFORM risk.withdraw(5, 7.25, book);
	SELECT count(*) INTO n FROM risk.post_batch(book, ARRAY[1, 2, 3, 1, 99], ARRAY[2, 3, 1, 1, 1], ARRAY[5, 6, 7, 1, 1],
												 ARRAY['transfer', 'transfer', 'transfer', 'transfer', 'transfer'],
												 ARRAY['a', NULL, 'c', NULL, NULL], 'each') WHERE result = 'accepted';
	ASSERT n = 3;
	-- below the floor within the transaction, and healed
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id)
	VALUES (book, 1, 6101, 'buy', 100, 100, 0.05, 1), (book, 2, 6101, 'sell', 100, 100, 0.05, 1),
		   (book, 1, 6101, 'sell', 60, 70, 0.05, 2), (book, 2, 6101, 'buy', 60, 70, 0.05, 2);
	-- an error takes all of its statement back
	BEGIN
		INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (book, 6, 7, 1), (book, 6, 7, 1000000);
	EXCEPTION WHEN check_violation THEN
		NULL;
	END;
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (book, 6, 7, 2);
END $$;

-- Without what the clock and sequences say.
CREATE TEMP VIEW posted AS
SELECT e.book_id, CASE WHEN e.account_id > 0 THEN e.account_id::text ELSE a.kind END AS party, e.slot = 0 AS slot0,
	   row_number() OVER w AS place, e.amount, e.kind,
	   CASE WHEN e.slot = 0 THEN e.balance_after END AS balance_after,
	   e.period = (e.posted_at AT TIME ZONE 'UTC')::date AS right_period, e.seq > coalesce(lag(e.seq) OVER w, 0) AS grows
  FROM ledger.entry e JOIN ledger.account a USING (book_id, account_id)
WINDOW w AS (PARTITION BY e.book_id, e.account_id, e.slot ORDER BY e.seq);
CREATE TEMP VIEW held AS
SELECT b.book_id, CASE WHEN b.account_id > 0 THEN b.account_id::text ELSE a.kind END AS party,
	   sum(b.amount) AS amount, sum(b.seq) AS entries, min(b.floor) AS floor
  FROM ledger.balance b JOIN ledger.account a USING (book_id, account_id) GROUP BY 1, 2;
CREATE TEMP VIEW moved AS
SELECT t.book_id, sign(t.from_account) * CASE WHEN t.from_account > 0 THEN t.from_account ELSE 1 END AS from_account,
	   t.amount, t.kind, t.idempotency_key, t.who, t.period = current_date AS of_today, t.hold_id,
	   row_number() OVER (PARTITION BY t.book_id ORDER BY t.transfer_id) AS place
  FROM ledger.transfer t;
CREATE FUNCTION pg_temp.differences(a int, b int) RETURNS TABLE (what text, rows bigint, differ bigint) LANGUAGE plpgsql AS $$
BEGIN
	FOREACH what IN ARRAY ARRAY['posted', 'held', 'moved'] LOOP
		EXECUTE format($q$SELECT (SELECT count(*) FROM %1$I WHERE book_id = $1),
			(SELECT count(*) FROM (
				(SELECT to_jsonb(x) - 'book_id' FROM %1$I x WHERE book_id = $1 EXCEPT ALL SELECT to_jsonb(x) - 'book_id' FROM %1$I x WHERE book_id = $2)
				UNION ALL
				(SELECT to_jsonb(x) - 'book_id' FROM %1$I x WHERE book_id = $2 EXCEPT ALL SELECT to_jsonb(x) - 'book_id' FROM %1$I x WHERE book_id = $1)) d)$q$, what)
		INTO rows, differ USING a, b;
		RETURN NEXT;
	END LOOP;
END $$;

-- 1. Plain tables: by key

SELECT pg_temp.post_all(610);
SELECT pg_temp.statements(610);

-- 2. A CHECK of the user's own: by statements, and it holds

ALTER TABLE ledger.balance ADD CONSTRAINT own_check CHECK (amount < 4000000);
ALTER TABLE ledger.entry ADD CONSTRAINT own_check CHECK (balance_after < 4000000);
SELECT pg_temp.post_all(611);
SELECT pg_temp.statements(611);
SELECT * FROM pg_temp.differences(610, 611);
\set VERBOSITY terse
SELECT risk.deposit(1, 4000000, 611);
ALTER TABLE ledger.entry DROP CONSTRAINT own_check;
SELECT risk.deposit(1, 4000000, 611);
\set VERBOSITY default
ALTER TABLE ledger.balance DROP CONSTRAINT own_check;
SELECT pg_temp.statements(611);

SELECT pg_temp.statements(610);

-- 3. Triggers of the user's own: they fire, once for each row

CREATE TABLE own_count (table_name text, operation text, amount numeric);
CREATE FUNCTION own_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.own_count VALUES (TG_TABLE_NAME, TG_OP, NEW.amount);
	RETURN NULL;
END $$;
CREATE TRIGGER own AFTER INSERT ON ledger.entry FOR EACH ROW EXECUTE FUNCTION own_trigger();
CREATE TRIGGER own AFTER UPDATE ON ledger.balance FOR EACH ROW EXECUTE FUNCTION own_trigger();
CREATE TRIGGER own AFTER INSERT ON ledger.transfer FOR EACH ROW EXECUTE FUNCTION own_trigger();
SELECT pg_temp.post_all(612);
SELECT pg_temp.statements(612);
SELECT * FROM pg_temp.differences(610, 612);
SELECT c.table_name, c.operation, count(*) = (
	SELECT count(*) FROM ledger.entry WHERE book_id = 612 AND c.table_name = 'entry'
	UNION ALL SELECT count(*) FROM ledger.transfer WHERE book_id = 612 AND c.table_name = 'transfer' ORDER BY 1 DESC LIMIT 1) AS all_of_them
  FROM own_count c WHERE c.table_name <> 'balance' GROUP BY c.table_name, c.operation ORDER BY 1;
SELECT count(*) > 0 AS balances_counted FROM own_count WHERE table_name = 'balance';
DROP TRIGGER own ON ledger.entry;
DROP TRIGGER own ON ledger.balance;
DROP TRIGGER own ON ledger.transfer;
DROP TABLE own_count;
DROP FUNCTION own_trigger();

-- 4. Indexes of the user's own: by key, and every index is written, with
-- functions called under the search_path of the ledger; a balance that is
-- indexed is no HOT update any more

CREATE EXTENSION amcheck;
CREATE FUNCTION own_key(amount numeric) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_setting('search_path') NOT IN ('pg_catalog, pg_temp', '"$user", public') THEN
		RAISE EXCEPTION 'search_path is %', current_setting('search_path');
	END IF;
	RETURN amount::text;
END $$;
CREATE INDEX own_cause ON ledger.entry (cause);
CREATE INDEX own_amount ON ledger.entry (own_key(amount)) WHERE amount > 0;
CREATE INDEX own_balance ON ledger.balance (amount) WHERE own_key(amount) <> 'x';
SET search_path = "$user", public;
SELECT pg_temp.post_all(613);
SELECT pg_temp.statements(613);
SELECT * FROM pg_temp.differences(610, 613);
SELECT count(bt_index_check(i.indexrelid, true)) >= 7 AS checked
  FROM pg_index i WHERE i.indrelid IN ('ledger.entry'::regclass, 'ledger.balance'::regclass, 'ledger.transfer'::regclass);
RESET search_path;
DROP INDEX ledger.own_cause, ledger.own_amount, ledger.own_balance;
DROP FUNCTION own_key(numeric);

-- A column of the user's own in balance keeps what it has; in entry, its
-- default is what a statement is for.
BEGIN;
ALTER TABLE ledger.balance ADD own_note text DEFAULT 'kept';
SELECT pg_temp.statements(613);
SELECT account_id, amount = (SELECT e.balance_after FROM ledger.entry e WHERE e.book_id = 613 AND e.account_id = b.account_id ORDER BY e.seq DESC LIMIT 1) AS right_amount,
	   own_note FROM ledger.balance b WHERE book_id = 613 AND account_id IN (3, 4) ORDER BY 1;
ALTER TABLE ledger.balance DROP own_note;
SELECT pg_temp.statements(613);
ALTER TABLE ledger.entry ADD own_note text DEFAULT 'new';
SELECT pg_temp.statements(613);
SELECT count(*) FROM ledger.entry WHERE book_id = 613 AND own_note IS NULL;
ALTER TABLE ledger.entry DROP own_note;
SELECT pg_temp.statements(613);
ROLLBACK;

-- 5. A unique index of the user's own refuses what is there already

CREATE UNIQUE INDEX own_unique ON ledger.entry (book_id, amount) WHERE book_id = 614 AND amount > 0;
SELECT risk.deposit(1, 10, 614) > 0 AS deposited;
\set VERBOSITY sqlstate
SELECT risk.deposit(1, 10, 614);
\set VERBOSITY default
SELECT risk.deposit(1, 11, 614) > 0 AS deposited;
DROP INDEX ledger.own_unique;
SELECT account_id, amount, seq FROM ledger.balance WHERE book_id = 614 AND account_id > 0 AND seq > 0;

-- 6. Savepoints and errors in between leave nothing behind

BEGIN;
SELECT risk.deposit(2, 100, 614) > 0 AS deposited;
SAVEPOINT s;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (614, 2, 3, 60);
ROLLBACK TO s;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (614, 2, 3, 70);
SAVEPOINT t;
\set VERBOSITY terse
INSERT INTO ledger.transfer (book_id, transfer_id, from_account, to_account, amount) OVERRIDING SYSTEM VALUE VALUES (614, 61001, 2, 3, 31);
\set VERBOSITY default
ROLLBACK TO t;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (614, 2, 3, 30), (614, 3, 2, 1);
COMMIT;
SELECT account_id, amount, seq FROM ledger.balance WHERE book_id = 614 AND account_id IN (2, 3) ORDER BY 1;
SELECT account_id, seq, amount, balance_after FROM ledger.entry WHERE book_id = 614 AND account_id IN (2, 3) ORDER BY 1, 2;
-- the same row written again and again by one transaction
DO $$
BEGIN
	FOR i IN 1 .. 300 LOOP
		INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (614, 3, 2, 0.01);
		IF i % 3 = 0 THEN
			BEGIN
				INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (614, 3, 2, 0.02);
				RAISE EXCEPTION 'not this one';
			EXCEPTION WHEN raise_exception THEN
				NULL;
			END;
		END IF;
	END LOOP;
END $$;
SELECT account_id, amount, seq FROM ledger.balance WHERE book_id = 614 AND account_id IN (2, 3) ORDER BY 1;

-- 7. Who renames tables and schema finds the ledger again

BEGIN;
ALTER TABLE ledger.balance RENAME TO balance_of_account;
ALTER TABLE ledger.account RENAME TO account_of_owner;
ALTER SCHEMA ledger RENAME TO books;
INSERT INTO books.transfer (book_id, from_account, to_account, amount) VALUES (614, 3, 2, 1);
SELECT account_id, amount, seq FROM books.balance_of_account WHERE book_id = 614 AND account_id IN (2, 3) ORDER BY 1;
ROLLBACK;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (614, 3, 2, 1);
-- a read-only transaction writes nothing
BEGIN READ ONLY;
SELECT risk.set_floor(2, -1, 'none', 614);
ROLLBACK;
DROP EXTENSION amcheck;
SELECT check_name, violations FROM risk.verify() WHERE violations > 0;
