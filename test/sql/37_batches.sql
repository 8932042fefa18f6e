-- Batches: thousands of transfers in one call, all or none, or each with its
-- own result.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(133, 'batches');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (133, 1, 'USDT', 'alice'), (133, 2, 'USDT', 'bob'), (133, 3, 'USDT', 'carol'), (133, 4, 'BTC', 'alice'),
	   (133, 7, 'USDT', 'trades'), (133, 8, 'USDT', 'frozen'), (133, 9, 'USDT', 'closed');
SELECT risk.system_account(133, 'external', 'USDT') AS external, risk.system_account(133, 'house', 'USDT') AS house,
	   risk.system_account(133, 'insurance_fund', 'USDT') AS fund, risk.system_account(133, 'clearing', 'USDT') AS clearing \gset
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (3701, 'BTC/USDT 133', 'USDT');
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 33001;
CREATE TEMP VIEW holding AS
SELECT coalesce(a.owner_id, a.kind) AS party, a.asset_code, sum(b.amount) AS balance
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 133 GROUP BY a.book_id, a.account_id HAVING sum(b.amount) <> 0 ORDER BY a.account_id;

-- 1. All or none, in the order given: what comes in can go on

SELECT * FROM risk.post_batch(133, ARRAY[:external, 1, 2, :external, :external], ARRAY[1, 2, 3, 7, 8], ARRAY[100, 60, 30, 50, 50],
							  ARRAY['deposit', 'transfer', 'transfer', 'deposit', 'deposit']);
SELECT * FROM holding;
SELECT kind, cause, account_id, amount, balance_after FROM ledger.entry WHERE book_id = 133 AND account_id > 0 ORDER BY account_id, seq;
-- one that cannot be posted, and none is; the error names its place
\set SHOW_CONTEXT errors
SELECT * FROM risk.post_batch(133, ARRAY[1, 2, 3], ARRAY[2, 3, 1], ARRAY[40, 70.01, 1]);
\set SHOW_CONTEXT never
SELECT * FROM risk.post_batch(133, ARRAY[1, 2], ARRAY[2, 77], ARRAY[40, 70]);
SELECT * FROM holding WHERE party = 'alice';

-- 2. Each on its own: one result of every sort

UPDATE ledger.account SET status = owner_id WHERE book_id = 133 AND account_id IN (8, 9);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (133, 7, 3701, 'buy', 1, 10, 37001), (133, 3, 3701, 'sell', 1, 10, 37001);
SELECT risk.deposit(1, 1, 133, 'used') > 0 AS deposited;
CREATE TEMP TABLE wanted (place int GENERATED ALWAYS AS IDENTITY, from_account bigint, to_account bigint, amount numeric,
						  kind text DEFAULT 'transfer', key text);
INSERT INTO wanted (from_account, to_account, amount, kind, key) VALUES
	(1, 2, 41, 'transfer', 'first'),			-- accepted: all that alice has
	(1, 2, 0.01, 'transfer', 'second'),			-- exceeds
	(:external, 1, 5, 'deposit', NULL),			-- accepted
	(1, 2, 0.01, 'transfer', 'second'),			-- as above: the key was used and refused in this batch
	(1, 2, 41, 'transfer', 'first'),			-- exists
	(1, 2, 42, 'transfer', 'first'),			-- key_used, in this batch
	(:external, 1, 2, 'deposit', 'used'),		-- key_used, before
	(:external, 1, 1, 'deposit', 'used'),		-- exists, before
	(1, 77, 1, 'transfer', 'third'),			-- unknown_account
	(77, 1, 1, 'transfer', NULL),
	(1, :clearing, 1, 'transfer', NULL),		-- wrong_account
	(1, 2, 1, 'fee', NULL),
	(1, 1, 1, 'transfer', NULL),				-- same_account
	(1, 4, 1, 'transfer', NULL),				-- other_asset
	(1, 2, 0, 'transfer', NULL),				-- invalid_amount
	(1, 2, -1, 'transfer', NULL),
	(1, 2, 0.001, 'transfer', NULL),
	(1, 2, 'NaN', 'transfer', NULL),
	(1, 2, 1e30, 'transfer', NULL),
	(1, 9, 1, 'transfer', NULL),				-- closed
	(8, 1, 1, 'transfer', NULL),				-- frozen
	(8, :house, 1, 'correction', NULL),			-- accepted: a fact
	(7, 1, 1, 'transfer', NULL),				-- no_mark
	(1, 2, 1, 'gift', NULL),					-- unknown_kind
	(:fund, :house, 1, 'transfer', NULL),		-- exceeds: the fund is empty
	(:house, :fund, 1, 'transfer', NULL),		-- accepted
	(:fund, :house, 1, 'transfer', NULL),		-- accepted
	(2, 1, 5, 'transfer', 'fourth');			-- accepted, after all the others
CREATE TEMP VIEW wanted_arrays AS
SELECT array_agg(from_account ORDER BY place) AS f, array_agg(to_account ORDER BY place) AS t, array_agg(amount ORDER BY place) AS a,
	   array_agg(kind ORDER BY place) AS k, array_agg(key ORDER BY place) AS i FROM wanted;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 33101;
SELECT b.place, b.result, b.transfer_id, w.from_account > 0 AS by_trader, w.amount, w.kind, w.key
  FROM wanted_arrays, risk.post_batch(133, f, t, a, k, i, 'each') b JOIN wanted w USING (place) ORDER BY b.place;
SELECT * FROM holding;
SELECT idempotency_key, id FROM ledger.idempotency WHERE book_id = 133 ORDER BY idempotency_key;
-- the whole batch again: nothing is posted that was posted with a key
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 33201;
DELETE FROM wanted WHERE key IS NULL;
SELECT b.place, b.result, b.transfer_id FROM wanted_arrays, risk.post_batch(133, f, t, a, k, i, 'each') b ORDER BY b.place;
-- now alice has 0.01 to spare, so what was refused is posted; in mode all the rest exists
SELECT * FROM risk.post_batch(133, ARRAY[1, 1, 1], ARRAY[2, 2, 2], ARRAY[41, 0.01, 0.01], NULL, ARRAY['first', 'second', 'second']);
SELECT * FROM risk.post_batch(133, ARRAY[1, 1], ARRAY[2, 2], ARRAY[41, 0.02], NULL, ARRAY['first', 'second']);

-- 3. A fact below the floor is settled at commit; a policy that refuses takes all back

INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code) VALUES (133, 21, 'USDT', 'electra'), (133, 22, 'USDT', 'strict');
SELECT result, count(*) FROM risk.post_batch(133, ARRAY[21, :external], ARRAY[:house, 2], ARRAY[3, 1], ARRAY['fee', 'deposit'], NULL, 'each') GROUP BY result;
SELECT account_id, stage, amount FROM ledger.reset WHERE book_id = 133;
SELECT result, count(*) FROM risk.post_batch(133, ARRAY[22, :external], ARRAY[:house, 2], ARRAY[3, 1], ARRAY['fee', 'deposit'], NULL, 'each') GROUP BY result;

-- 4. Bad arguments

SELECT * FROM risk.post_batch(133, '{}', '{}', '{}');
SELECT * FROM risk.post_batch(133, '{1,2}', '{2}', '{1,1}');
SELECT * FROM risk.post_batch(133, '{1}', '{2}', '{NULL}');
SELECT * FROM risk.post_batch(133, '{{1}}', '{2}', '{1}');
SELECT * FROM risk.post_batch(133, '{1}', '{2}', '{1}', mode => 'some');
SELECT * FROM risk.post_batch(133, '{1}', '{2}', '{1}', ARRAY['gift']) AS unknown_kind \gset
SELECT * FROM risk.post_batch(999, '{1}', '{2}', '{1}', mode => 'each');
SELECT * FROM risk.post_batch_into('ledger.trade', 133, '{1}', '{2}', '{1}', '{transfer}', '{NULL}', 'all');
SELECT * FROM risk.post_batch_into('pg_class', 133, '{1}', '{2}', '{1}', '{transfer}', '{NULL}', 'all');

-- 5. Who may call it: EXECUTE on the function and INSERT on the table

CREATE ROLE batch_writer;
GRANT EXECUTE ON FUNCTION risk.post_batch(int, bigint[], bigint[], numeric[], text[], text[], text),
	risk.post_batch_into(regclass, int, bigint[], bigint[], numeric[], text[], text[], text) TO batch_writer;
GRANT USAGE ON SCHEMA ledger TO batch_writer;
SET ROLE batch_writer;
SELECT * FROM risk.post_batch(133, '{2}', '{1}', '{1}');
RESET ROLE;
GRANT INSERT ON ledger.transfer TO batch_writer;
SET ROLE batch_writer;
SELECT result FROM risk.post_batch(133, '{2}', '{1}', '{1}');
RESET ROLE;
DROP OWNED BY batch_writer;
DROP ROLE batch_writer;

-- 6. Triggers of a user on the table see the rows, and may insert transfers of their own

CREATE FUNCTION pg_temp.copy_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
		SELECT book_id, from_account, to_account, 0.01 FROM added WHERE amount = 0.02;
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER a_copy AFTER INSERT ON ledger.transfer REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.copy_it();
SELECT result FROM risk.post_batch(133, '{2}', '{1}', '{0.02}');
DROP TRIGGER a_copy ON ledger.transfer;
SELECT from_account, to_account, amount FROM ledger.transfer WHERE book_id = 133 ORDER BY transfer_id DESC LIMIT 2;
-- one that could change them first is not for a batch: the rows go in when they are posted
CREATE FUNCTION pg_temp.double_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.amount := NEW.amount * 2;
	RETURN NEW;
END
$$;
CREATE TRIGGER a_double BEFORE INSERT ON ledger.transfer FOR EACH ROW EXECUTE FUNCTION pg_temp.double_it();
SELECT result FROM risk.post_batch(133, '{2}', '{1}', '{0.02}');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (133, 2, 1, 0.01) RETURNING amount;
DROP TRIGGER a_double ON ledger.transfer;

-- 7. Five thousand at once, here and there among twenty accounts

INSERT INTO ledger.account (book_id, account_id, asset_code) SELECT 133, 100 + n, 'USDT' FROM generate_series(1, 20) n;
SELECT result, count(*) FROM risk.post_batch(133, array_fill(:external::bigint, ARRAY[20]), ARRAY(SELECT 100 + n FROM generate_series(1, 20) n),
	array_fill(100::numeric, ARRAY[20]), array_fill('deposit'::text, ARRAY[20])) GROUP BY result;
SELECT result, count(*)
  FROM (SELECT array_agg(101 + n * 7 % 20 ORDER BY n) AS f, array_agg(101 + (n * 7 + 1 + n % 11) % 20 ORDER BY n) AS t,
			   array_agg(n % 400 * 0.5 + 0.01 ORDER BY n) AS a FROM generate_series(1, 5000) n) w,
	   risk.post_batch(133, f, t, a, mode => 'each') GROUP BY result ORDER BY result;
SELECT sum(amount), min(amount) >= 0 AS none_below FROM ledger.balance WHERE book_id = 133 AND account_id > 100;

SELECT * FROM risk.verify() WHERE violations > 0;
