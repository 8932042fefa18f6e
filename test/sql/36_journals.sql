-- Journals: money moved between any number of accounts, in one step.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(132, 'journals');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (132, 1, 'USDT', 'alice'), (132, 2, 'USDT', 'bob'), (132, 3, 'BTC', 'alice'), (132, 4, 'BTC', 'bob'),
	   (132, 8, 'USDT', 'frozen'), (132, 9, 'USDT', 'closed');
SELECT risk.system_account(132, 'external', 'USDT') AS external, risk.system_account(132, 'fee', 'USDT') AS fee,
	   risk.system_account(132, 'house', 'USDT') AS house, risk.system_account(132, 'insurance_fund', 'USDT') AS fund \gset
SELECT risk.deposit(1, 1000, 132), risk.deposit(4, 2, 132), risk.deposit(8, 10, 132) \gset
UPDATE ledger.account SET status = owner_id WHERE book_id = 132 AND account_id IN (8, 9);
ALTER TABLE ledger.journal ALTER journal_id RESTART WITH 32001;
CREATE TEMP VIEW holding AS
SELECT coalesce(a.owner_id, a.kind) AS party, a.asset_code, sum(b.amount) AS balance
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 132 GROUP BY a.book_id, a.account_id HAVING sum(b.amount) <> 0 ORDER BY a.account_id;

-- 1. Three legs: alice pays bob, and the venue keeps a fee of it

SELECT * FROM risk.post(132, ARRAY[1, 2, :fee], ARRAY[-100, 98.5, 1.5]);
SELECT * FROM holding;
SELECT account_id, amount, balance_after, kind, cause FROM ledger.entry
 WHERE book_id = 132 AND kind = 'journal' AND account_id > 0 ORDER BY account_id;
-- two assets in one journal, each sums to zero: an exchange
SELECT * FROM risk.post(132, ARRAY[1, 2, 4, 3], ARRAY[-500, 500, -0.01, 0.01], metadata => '{"rate": 50000}');
SELECT * FROM holding;
-- one account may have several legs; each is an entry, the balance after its own
SELECT * FROM risk.post(132, ARRAY[1, 2, 1, :fee, 2], ARRAY[-50, 50, -0.5, 0.6, -0.1]);
SELECT seq, amount, balance_after FROM ledger.entry WHERE book_id = 132 AND account_id = 1 AND cause = 32003 ORDER BY seq;

-- 2. A choice is what the account can spare: all of its legs together

SELECT * FROM risk.post(132, ARRAY[1, 2], ARRAY[-349.51, 349.51]);
SELECT * FROM risk.post(132, ARRAY[1, 2, 1], ARRAY[-360, 349.50, 10.50]);
SELECT * FROM risk.post(132, ARRAY[2, 1], ARRAY[-349.50, 349.50]);
-- the fund gives only what is in it
SELECT * FROM risk.post(132, ARRAY[:fund, :house], ARRAY[-1, 1]);
-- a fact is booked, and its shortfall is the house's
SELECT * FROM risk.post(132, ARRAY[1, :house], ARRAY[-350, 350], 'adjustment');
SELECT cause_kind, cause, stage, amount FROM ledger.reset WHERE book_id = 132;
SELECT * FROM holding;
-- several by one statement, in the order given
INSERT INTO ledger.journal (book_id, accounts, amounts, kind) VALUES
	(132, ARRAY[:external, 1], ARRAY[-20, 20], 'adjustment'),
	(132, ARRAY[1, 2], ARRAY[-20, 20], 'journal');
SELECT * FROM holding WHERE party = 'alice';

-- 3. What is refused, each with its reason

CREATE FUNCTION pg_temp.refused(accounts bigint[], amounts numeric[], kind text, OUT code text, OUT message text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM risk.post(132, accounts, amounts, kind);
	code := 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	message := regexp_replace(message, '^journal \d+: ', '');
	-- a CHECK shows the row, and so the time
	detail := CASE WHEN message NOT LIKE 'new row%' THEN detail END;
END
$$;
\x
SELECT t.what, r.*
  FROM (VALUES
		(1, 'not zero', ARRAY[1, 2], ARRAY[-10, 9.99], 'journal'),
		(2, 'zero in all, not in each asset', ARRAY[1, 3], ARRAY[-1, 1], 'journal'),
		(3, 'one leg', ARRAY[1], ARRAY[0], 'journal'),
		(4, 'no leg', '{}', '{}', 'journal'),
		(5, 'an amount is missing', ARRAY[1, 2, 2], ARRAY[-1, 1], 'journal'),
		(6, 'an amount is unknown', ARRAY[1, 2], ARRAY[NULL, 1], 'journal'),
		(7, 'an account is unknown', ARRAY[NULL, 2], ARRAY[-1, 1], 'journal'),
		(8, 'two dimensions', '{{1,2}}', '{{-1,1}}', 'journal'),
		(9, 'unknown account', ARRAY[77, 2], ARRAY[-1, 1], 'journal'),
		(10, 'zero', ARRAY[1, 2, 2], ARRAY[0, 1, -1], 'journal'),
		(11, 'NaN', ARRAY[1, 2], '{NaN,1}', 'journal'),
		(12, 'too many digits', ARRAY[1, 2], ARRAY[-0.001, 0.001], 'journal'),
		(13, 'overflow', ARRAY[1, 2], ARRAY[-1e20, 1e20], 'journal'),
		(14, 'a closed account', ARRAY[2, 9], ARRAY[-1, 1], 'journal'),
		(15, 'a frozen account gives', ARRAY[8, 2], ARRAY[-1, 1], 'journal'),
		(16, 'clearing', ARRAY[2, risk.system_account(132, 'clearing', 'USDT')], ARRAY[-1, 1], 'journal'),
		(17, 'a fact between traders', ARRAY[2, 1], ARRAY[-1, 1], 'adjustment'),
		(18, 'unknown kind', ARRAY[2, 1], ARRAY[-1, 1], 'gift')
	   ) AS t(place, what, accounts, amounts, kind),
	   LATERAL pg_temp.refused(t.accounts, t.amounts, t.kind) r
 ORDER BY t.place;
\x
-- who and when are the database's to say; a frozen account is given to
INSERT INTO ledger.journal (book_id, accounts, amounts, who) VALUES (132, '{1,2}', '{-1,1}', 'mallory');
INSERT INTO ledger.journal (book_id, accounts, amounts, period) VALUES (132, '{1,2}', '{-1,1}', '2000-01-01');
SELECT * FROM risk.post(132, ARRAY[2, 8], ARRAY[-1, 1]);

-- 4. Keys: the original's number and balances, whatever came since

SELECT * FROM risk.post(132, ARRAY[2, 1], ARRAY[-10, 10], idempotency_key => 'once', effective_at => '2024-01-01 UTC', metadata => '{"a": 1, "b": 2}') \gset first_
SELECT risk.deposit(1, 5, 132) > 0 AS deposited;
SELECT journal_id = :first_journal_id AS same_row, balances = :'first_balances' AS same_balances
  FROM risk.post(132, ARRAY[2, 1], ARRAY[-10.00, 10.0], idempotency_key => 'once', effective_at => '2024-01-01 01:00+01', metadata => '{"b": 2, "a": 1}');
SELECT effective_at AT TIME ZONE 'UTC' AS effective_at, posted_at > effective_at AS posted_later
  FROM ledger.entry WHERE book_id = 132 AND account_id = 1 AND kind = 'journal' AND cause = :first_journal_id;
ALTER TABLE ledger.journal ALTER journal_id RESTART WITH 32901;
SELECT risk.post(132, ARRAY[2, 1], ARRAY[-11, 11], idempotency_key => 'once', effective_at => '2024-01-01 UTC', metadata => '{"a": 1, "b": 2}') IS NULL AS posted \gset
SELECT risk.post(132, ARRAY[2, 1], ARRAY[-10, 10], idempotency_key => 'once', metadata => '{"a": 1, "b": 2}') IS NULL AS posted \gset
SELECT risk.post(132, ARRAY[2, 1], ARRAY[-10, 10], idempotency_key => 'once', effective_at => '2024-01-01 UTC') IS NULL AS posted \gset
SELECT risk.deposit(1, 10, 132, 'once') IS NULL AS posted \gset
SELECT effective_at FROM ledger.journal WHERE book_id = 132 AND journal_id > :first_journal_id;

-- 5. Nobody edits them

\set VERBOSITY sqlstate
UPDATE ledger.journal SET metadata = '{}' WHERE book_id = 132;
DELETE FROM ledger.journal WHERE book_id = 132;
TRUNCATE ledger.journal CASCADE;
\set VERBOSITY default

SELECT * FROM risk.verify() WHERE violations > 0;
