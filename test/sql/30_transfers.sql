-- Money in, out and between accounts; what an account can spare; keys; bad input.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(30, 'transfers');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (30, 1, 'USDT', 'alice'), (30, 2, 'USDT', 'bob'), (30, 3, 'USDT', 'carol'), (30, 4, 'BTC', 'alice'),
	   (30, 8, 'USDT', 'frozen'), (30, 9, 'USDT', 'closed');
SELECT risk.system_account(30, 'external', 'USDT') AS external, risk.system_account(30, 'fee', 'USDT') AS fee,
	   risk.system_account(30, 'insurance_fund', 'USDT') AS fund, risk.system_account(30, 'house', 'USDT') AS house \gset
-- so that the numbers in the messages below depend on this file alone
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 30001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 30001;

CREATE TEMP VIEW holding AS
SELECT coalesce(a.owner_id, a.kind) AS party, a.asset_code, sum(b.amount) AS balance
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 30 GROUP BY a.book_id, a.account_id HAVING sum(b.amount) <> 0 ORDER BY a.account_id;

-- 1. Deposits and withdrawals

SELECT risk.deposit(1, 100, 30);
SELECT risk.deposit(account_id => 4, amount => 0.00000001, book_id => 30);
SELECT risk.withdraw(1, 30.5, 30);
SELECT * FROM holding;
SELECT account_id, seq, amount, balance_after, kind, cause FROM ledger.entry
 WHERE book_id = 30 AND account_id > 0 ORDER BY account_id, seq;
-- both legs of each, and the balance of a withdrawal is the limit
SELECT kind, cause, count(*), sum(amount) FROM ledger.entry WHERE book_id = 30 GROUP BY kind, cause ORDER BY cause;
SELECT risk.withdraw(1, 69.51, 30);
SELECT risk.withdraw(1, 69.50, 30);
SELECT risk.deposit(1, 1, 99);
SELECT risk.deposit(77, 1, 30);

-- 2. Several rows in one statement: in the order given, all or nothing

INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (30, :external, 1, 10, 'deposit'), (30, 1, 2, 10, 'transfer'), (30, 2, 3, 10, 'transfer');
SELECT * FROM holding;
-- alice gives what she does not have yet
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (30, 1, 2, 10, 'transfer'), (30, :external, 1, 10, 'deposit');
-- the third of these takes one too many
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (30, 3, 1, 4, 'transfer'), (30, 3, 2, 6, 'transfer'), (30, 3, 1, 0.01, 'transfer');
SELECT * FROM holding;
COPY ledger.transfer (book_id, from_account, to_account, amount, kind) FROM stdin;
30	3	1	4	transfer
30	3	2	6	transfer
\.
SELECT * FROM holding;
SELECT risk.deposit(3, 10, 30) > 0 AS deposited;

-- 3. The fund gives only what is in it; the house and the fee account have no floor

INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (30, :external, :fund, 50);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (30, :fund, :house, 50.01);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (30, :fund, :house, 20), (30, :fund, :house, 30.01);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (30, :fund, :house, 20), (30, :fund, :house, 30);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (30, :fee, :fund, 5), (30, :house, :fund, 60);
-- a fact is not refused, but the fund stays at zero or above
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (30, :fund, :external, 66, 'correction');
SELECT * FROM holding;

-- 4. What an account with open positions can spare: its balance, less losses
-- that are not realised, less initial margin; profit is not paid out

INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (3001, 'BTC/USDT 30', 'USDT'), (3002, 'ETH/USDT 30', 'USDT');
INSERT INTO ledger.margin_tier VALUES (3001, 0, 0.005, 10), (3002, 0, 0.005, 10);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (30, 11, 'USDT', 'long'), (30, 12, 'USDT', 'short');
SELECT risk.deposit(11, 1000, 30), risk.deposit(12, 1000, 30);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (30, 11, 3001, 'buy', 10, 100, 30001), (30, 12, 3001, 'sell', 10, 100, 30001);

-- without a mark nobody knows
SELECT risk.withdraw(11, 1, 30);
SELECT account_id, withdrawable FROM ledger.account_risk WHERE book_id = 30 AND account_id IN (11, 12) ORDER BY account_id;
SELECT risk.deposit(11, 100, 30);

-- mark 100: long 1,100 - 1,000 / 10 = 1,000, short 1,000 - 100 = 900
INSERT INTO ledger.mark_price VALUES (3001, 100);
SELECT account_id, withdrawable FROM ledger.account_risk WHERE book_id = 30 AND account_id IN (11, 12) ORDER BY account_id;
-- mark 90: long 1,100 - 100 - 90 = 910, short 1,000 - 90 = 910, its profit of 100 left out
UPDATE ledger.mark_price SET price = 90 WHERE instrument_id = 3001;
SELECT account_id, withdrawable FROM ledger.account_risk WHERE book_id = 30 AND account_id IN (11, 12) ORDER BY account_id;
SELECT risk.withdraw(11, 910.01, 30);
SELECT risk.withdraw(12, 910.01, 30);
SELECT risk.withdraw(11, 910, 30), risk.withdraw(12, 910, 30);
SELECT account_id, balance, unrealized_pnl, initial_margin, withdrawable FROM ledger.account_risk
 WHERE book_id = 30 AND account_id IN (11, 12) ORDER BY account_id;
-- a profit on one position does not pay for the loss on another twice: mark 90
-- and 110, net 0
SELECT risk.deposit(11, 1000, 30), risk.deposit(12, 1000, 30);
INSERT INTO ledger.mark_price VALUES (3002, 110);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (30, 11, 3002, 'buy', 10, 100, 30002), (30, 12, 3002, 'sell', 10, 100, 30002);
-- long 1,190 - 90 - 110 = 990, short 1,090 - 200 = 890
SELECT account_id, balance, unrealized_pnl, initial_margin, withdrawable FROM ledger.account_risk
 WHERE book_id = 30 AND account_id IN (11, 12) ORDER BY account_id;
SELECT risk.withdraw(11, 990.01, 30);
SELECT risk.withdraw(11, 990, 30), risk.withdraw(12, 890, 30);
-- a loss deeper than the balance: nothing to spare, and no error either
UPDATE ledger.mark_price SET price = 10 WHERE instrument_id = 3002;
SELECT account_id, equity, withdrawable FROM ledger.account_risk WHERE book_id = 30 AND account_id = 11;
SELECT risk.withdraw(11, 0.01, 30);
-- a transfer to another account is a choice as well; a fee, a chargeback and a
-- correction are facts
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (30, 11, 2, 0.01);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES
	(30, 11, :fee, 1, 'fee'), (30, 11, :external, 2, 'chargeback'), (30, 11, :house, 3, 'correction');
SELECT kind, amount, balance_after FROM ledger.entry WHERE book_id = 30 AND account_id = 11 ORDER BY seq DESC LIMIT 3;

-- 5. Idempotency keys

SELECT risk.deposit(2, 7, 30, 'key-1') AS first \gset
SELECT risk.deposit(2, 7, 30, 'key-1') = :first AS same_row;
SELECT risk.deposit(2, 7.00, 30, 'key-1') = :first AS same_amount;
SELECT count(*) FROM ledger.transfer WHERE book_id = 30 AND idempotency_key = 'key-1';
-- another amount, another account, another direction
SELECT risk.deposit(2, 8, 30, 'key-1');
SELECT risk.deposit(3, 7, 30, 'key-1');
SELECT risk.withdraw(2, 7, 30, 'key-1');
-- by INSERT, the original is in the detail
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind, idempotency_key)
VALUES (30, :external, 2, 7, 'deposit', 'key-1');
\echo :LAST_ERROR_SQLSTATE
-- twice in one statement
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind, idempotency_key)
VALUES (30, :external, 2, 1, 'deposit', 'key-2'), (30, :external, 2, 1, 'deposit', 'key-2');
-- a key is taken by what commits only
BEGIN;
SELECT risk.deposit(2, 1, 30, 'key-3') > 0 AS deposited;
SAVEPOINT before;
SELECT risk.deposit(2, 1, 30, 'key-4') > 0 AS deposited;
ROLLBACK TO before;
COMMIT;
SELECT risk.withdraw(77, 1, 30, 'key-5');
SELECT risk.withdraw(2, 1000000, 30, 'key-5');
SELECT idempotency_key, kind FROM ledger.idempotency WHERE book_id = 30 ORDER BY idempotency_key;
-- the answer is the original's, whatever the account could spare now
SELECT risk.withdraw(2, 14, 30, 'key-6') AS first \gset
SELECT risk.withdraw(2, 14, 30, 'key-6') = :first AS same_row;
SELECT * FROM holding WHERE party = 'bob';
-- keys belong to their book
SELECT risk.create_book(31, 'other keys');
INSERT INTO ledger.account (book_id, account_id, asset_code) VALUES (31, 2, 'USDT');
SELECT risk.deposit(2, 7, 31, 'key-1') <> :first AS another_row;
-- an empty key is a key, no key is none
SELECT risk.deposit(2, 1, 31, '') = risk.deposit(2, 1, 31, '') AS same_row;
SELECT risk.deposit(2, 1, 31) <> risk.deposit(2, 1, 31) AS two_rows;

-- 6. Bad input: each names its row, and nothing is left behind

SELECT risk.deposit(8, 100, 30) > 0 AS deposited;
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 30 AND account_id = 8;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 30 AND account_id = 9;
SELECT count(*) AS transfers FROM ledger.transfer \gset
SELECT count(*) AS entries FROM ledger.entry \gset
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 30901;

CREATE FUNCTION pg_temp.refused(from_account bigint, to_account bigint, amount numeric, kind text,
								OUT code text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	-- the second of two rows, the first of which is good
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
	VALUES (30, risk.system_account(30, 'external', 'USDT'), 1, 1, 'deposit'), (30, $1, $2, $3, $4);
	code := 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	-- a CHECK shows the row, and so the time
	detail := CASE WHEN message NOT LIKE 'new row%' THEN detail END;
END
$$;
\x
SELECT t.what, r.*
  FROM (VALUES
		(1, 'unknown sender', 77, 2, 1, 'transfer'),
		(2, 'unknown receiver', 1, 77, 1, 'transfer'),
		(3, 'itself', 1, 1, 1, 'transfer'),
		(4, 'another asset', 1, 4, 1, 'transfer'),
		(5, 'zero', 1, 2, 0, 'transfer'),
		(6, 'below zero', 1, 2, -1, 'transfer'),
		(7, 'NaN', 1, 2, 'NaN', 'transfer'),
		(8, 'infinity', 1, 2, 'Infinity', 'transfer'),
		(9, 'minus infinity', 1, 2, '-Infinity', 'transfer'),
		(10, 'too many digits', 1, 2, 0.001, 'transfer'),
		(11, 'hidden digits', 1, 2, 1.000000000000000000000001, 'transfer'),
		(12, 'overflow', 1, 2, 123456789012345678901, 'transfer'),
		(13, 'more than there is', 1, 2, 10000, 'transfer'),
		(14, 'out of a frozen account', 8, 2, 1, 'transfer'),
		(15, 'out of a closed account', 9, 2, 1, 'chargeback'),
		(16, 'into a closed account', 1, 9, 1, 'correction'),
		(17, 'unknown kind', 1, 2, 1, 'gift')
	   ) AS t(place, what, from_account, to_account, amount, kind),
	   LATERAL pg_temp.refused(t.from_account, t.to_account, t.amount, t.kind) r
 ORDER BY t.place;
\x
-- A deposit comes from outside.  From anybody else it would be a payment that
-- free collateral does not limit and the insurance fund makes good.
SELECT code <> 'none' AS refused FROM pg_temp.refused(1, 2, 10000, 'deposit');
SELECT code <> 'none' AS refused FROM pg_temp.refused(8, 2, 1, 'deposit');
-- A fact has the venue on one side: between two traders it would be a way
-- around what an account can spare.
SELECT t.kind, r.code, r.message
  FROM unnest('{withdrawal,chargeback,correction,fee}'::text[]) AS t(kind), LATERAL pg_temp.refused(1, 2, 1, t.kind) r
 ORDER BY t.kind;
-- who inserts a row, and on which day, is the database's to say
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, who) VALUES (30, 1, 2, 1, 'mallory');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, period) VALUES (30, 1, 2, 1, '2000-01-01');
-- what is open costs what trades say, so no transfer touches clearing
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
VALUES (30, 1, risk.system_account(30, 'clearing', 'USDT'), 1);
SELECT count(*) - :transfers AS new_transfers FROM ledger.transfer;
SELECT count(*) - :entries AS new_entries FROM ledger.entry;
-- trailing zeros are not digits, and the largest amount fits
BEGIN;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (30, :external, 1, 1.5000000000000000000000000, 'deposit'), (30, :external, 1, 99999999999999999999.99, 'deposit');
SELECT amount, balance_after FROM ledger.entry WHERE book_id = 30 AND account_id = 1 ORDER BY seq DESC LIMIT 2;
ROLLBACK;
-- a frozen account is paid into, and charged
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (30, :external, 8, 5, 'deposit'), (30, 8, :external, 3, 'chargeback');
SELECT * FROM holding WHERE party = 'frozen';

-- where the policy says so, profit bears the margin of its position, and is
-- still not paid out: 1,000 with a profit of 50 and initial margin 100
INSERT INTO ledger.policy (policy_code, stages, profit_backs_margin) VALUES ('30 profit backs', '{own,fund,house}', true);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (3003, 'SOL/USDT 30', 'USDT');
INSERT INTO ledger.margin_tier VALUES (3003, 0, 0.005, 10);
INSERT INTO ledger.mark_price VALUES (3003, 100);
INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code)
VALUES (30, 31, 'USDT', 'default'), (30, 32, 'USDT', '30 profit backs'), (30, 33, 'USDT', 'default');
SELECT count(risk.deposit(a, 1000, 30)) FROM unnest('{31,32,33}'::bigint[]) a;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (30, 31, 3003, 'buy', 10, 95, 30031), (30, 32, 3003, 'buy', 10, 95, 30031), (30, 33, 3003, 'sell', 20, 95, 30031);
SELECT account_id, withdrawable FROM ledger.account_risk WHERE book_id = 30 AND account_id IN (31, 32) ORDER BY account_id;
SELECT code, message FROM pg_temp.refused(31, :external, 900.01, 'withdrawal')
UNION ALL SELECT code, message FROM pg_temp.refused(32, :external, 950.01, 'withdrawal');
SELECT risk.withdraw(31, 900, 30) > 0 AS default, risk.withdraw(32, 950, 30) > 0 AS backs;
-- a profit of 250 frees the margin, and not a cent beside it
UPDATE ledger.mark_price SET price = 120 WHERE instrument_id = 3003;
SELECT account_id, balance, withdrawable FROM ledger.account_risk WHERE book_id = 30 AND account_id IN (31, 32) ORDER BY account_id;

SELECT * FROM risk.verify() WHERE violations > 0;
