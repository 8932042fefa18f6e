-- Assets, books, the accounts of the venue, accounts of traders, instruments.
\set SHOW_CONTEXT never
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 20001;
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;

-- 1. Assets: a scale grows and never shrinks

INSERT INTO ledger.asset VALUES ('A20', 3);
UPDATE ledger.asset SET scale = 4 WHERE asset_code = 'A20';
UPDATE ledger.asset SET scale = 3 WHERE asset_code = 'A20';
UPDATE ledger.asset SET asset_code = 'B20' WHERE asset_code = 'A20';
INSERT INTO ledger.asset VALUES ('B20', 19);
SELECT * FROM ledger.asset WHERE asset_code LIKE '_20' ORDER BY asset_code;

-- 2. Books: every kind of account for every asset, once

SELECT risk.create_book(20, 'twenty');
SELECT risk.create_book(20, 'again');
SELECT a.kind, count(*) AS accounts, count(DISTINCT a.asset_code) AS assets,
	   min(b.floor) AS floor, sum(b.amount) AS balance, bool_and(a.account_id < 0) AS negative_numbers
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 20
   AND a.asset_code IN ('USDT', 'BTC', 'A20')
 GROUP BY a.kind ORDER BY a.kind;

-- An asset that comes later gets them in the books that are there.
INSERT INTO ledger.asset VALUES ('C20', 0);
SELECT count(*), count(DISTINCT account_id) AS numbers FROM ledger.account WHERE book_id = 20 AND asset_code = 'C20';

SELECT a.kind, a.asset_code, a.owner_id
  FROM ledger.account a
 WHERE a.book_id = 20 AND a.account_id = risk.system_account(20, 'insurance_fund', 'BTC');
SELECT risk.system_account(20, 'insurance_fund', 'DOGE');
SELECT risk.system_account(2020, 'insurance_fund', 'BTC');
SELECT risk.system_account(20, 'trader', 'USDT');

-- A system account exists once, and its number is negative; a trader's is not.
INSERT INTO ledger.account (book_id, account_id, kind, asset_code) VALUES (20, -1000, 'fee', 'USDT');
INSERT INTO ledger.account (book_id, account_id, kind, asset_code) VALUES (20, -1000, 'trader', 'USDT');
INSERT INTO ledger.account (book_id, account_id, kind, asset_code) VALUES (20, 1000, 'fee', 'USDT');
INSERT INTO ledger.account (book_id, account_id, kind, asset_code) VALUES (20, 0, 'trader', 'USDT');

-- 3. Accounts of traders: a balance row of zero, with a floor of zero

INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (20, 1, 'USDT', 'alice'), (20, 2, 'BTC', 'alice'), (20, 3, 'USDT', NULL);
SELECT a.account_id, a.kind, a.asset_code, a.owner_id, a.policy_code, a.status, b.slot, b.amount, b.floor, b.seq
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 20 AND a.account_id > 0 ORDER BY a.account_id;

-- The same by COPY, and an account that is there already is left alone.
COPY ledger.account (book_id, account_id, asset_code, owner_id, policy_code) FROM stdin;
20	4	USDT	bob	strict
20	5	USDT	bob	strict
\.
INSERT INTO ledger.account (book_id, account_id, asset_code)
VALUES (20, 5, 'BTC'), (20, 6, 'BTC') ON CONFLICT DO NOTHING;
SELECT a.account_id, a.asset_code, a.policy_code, count(b.*) AS balances
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 20 AND a.account_id > 3 GROUP BY a.book_id, a.account_id ORDER BY a.account_id;

INSERT INTO ledger.account (book_id, account_id, asset_code) VALUES (2020, 1, 'USDT');
INSERT INTO ledger.account (book_id, account_id, asset_code) VALUES (20, 7, 'DOGE');
INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code) VALUES (20, 7, 'USDT', 'unheard_of');
INSERT INTO ledger.account (book_id, account_id, asset_code, status) VALUES (20, 7, 'USDT', 'asleep');

-- What an account is never changes.
UPDATE ledger.account SET asset_code = 'BTC' WHERE book_id = 20 AND account_id = 1;
UPDATE ledger.account SET account_id = 11 WHERE book_id = 20 AND account_id = 1;
UPDATE ledger.account SET book_id = 1 WHERE book_id = 20 AND account_id = 1;
UPDATE ledger.account SET kind = 'fee' WHERE book_id = 20 AND account_id = 1;
DELETE FROM ledger.account WHERE book_id = 20 AND account_id = 1;
-- an INSERT that would turn into such an UPDATE neither
INSERT INTO ledger.account (book_id, account_id, asset_code) VALUES (20, 1, 'BTC')
ON CONFLICT (book_id, account_id) DO UPDATE SET asset_code = excluded.asset_code;

-- Its status, policy and owner do, and each change is on record.
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 20 AND account_id = 1;
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 20 AND account_id = 1;
UPDATE ledger.account SET status = 'active', policy_code = 'strict', owner_id = 'carol' WHERE book_id = 20 AND account_id = 1;
UPDATE ledger.account SET policy_code = 'unheard_of' WHERE book_id = 20 AND account_id = 1;
UPDATE ledger.account SET policy_code = NULL WHERE book_id = 20 AND account_id = 1;
SELECT kind, payload, who = session_user AS who FROM ledger.event WHERE book_id = 20 AND account_id = 1 ORDER BY event_id;

-- Closed: only without a balance and without a position.
SELECT risk.deposit(3, 10, 20) > 0 AS deposited;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 20 AND account_id = 3;
SELECT risk.withdraw(3, 10, 20) > 0 AS withdrawn;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 20 AND account_id = 3;
SELECT status FROM ledger.account WHERE book_id = 20 AND account_id = 3;
UPDATE ledger.account SET status = 'active' WHERE book_id = 20 AND account_id = 3;

-- 4. Policies: own comes first, house or reject last; a change is a new version

-- the detail would list every column
\set VERBOSITY terse
INSERT INTO ledger.policy (policy_code, stages) VALUES ('no_own_20', '{fund,house}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('no_end_20', '{own,fund}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('both_ends_20', '{own,house,reject}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('twice_20', '{own,fund,fund,house}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('none_20', '{}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('null_20', '{own,NULL,house}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('typo_20', '{own,fnud,house}');
\set VERBOSITY default
UPDATE ledger.policy SET stages = '{own,house}' WHERE policy_code = 'strict';
DELETE FROM ledger.policy WHERE policy_code = 'strict';
INSERT INTO ledger.policy (policy_code, stages, description) VALUES ('house_20', '{own,house}', 'The house pays.');
SELECT policy_code, version, stages FROM ledger.policy
 WHERE policy_code IN ('default', 'strict') OR policy_code LIKE '%\_20' ORDER BY policy_code, version;

-- 5. Instruments: what decides the worth of a position never changes

INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (2001, 'BTC/USDT 20', 'USDT');
SELECT instrument_id, symbol, kind, settle_asset, multiplier FROM ledger.instrument WHERE instrument_id = 2001;
UPDATE ledger.instrument SET multiplier = 10 WHERE instrument_id = 2001;
UPDATE ledger.instrument SET settle_asset = 'BTC' WHERE instrument_id = 2001;
UPDATE ledger.instrument SET kind = 'inverse' WHERE instrument_id = 2001;
UPDATE ledger.instrument SET instrument_id = 2002 WHERE instrument_id = 2001;
UPDATE ledger.instrument SET symbol = 'BTC/USDT twenty' WHERE instrument_id = 2001;
\set VERBOSITY terse
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier) VALUES (2002, 'zero', 'USDT', 0);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier) VALUES (2002, 'NaN', 'USDT', 'NaN');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier) VALUES (2002, 'infinite', 'USDT', 'Infinity');
\set VERBOSITY default
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (2002, 'unknown asset', 'DOGE');

-- One that nothing refers to goes; one that was traded stays.
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (2002, 'unused 20', 'USDT');
DELETE FROM ledger.instrument WHERE instrument_id = 2002;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (20, 4, 2001, 'buy', 1, 100, 2001), (20, 5, 2001, 'sell', 1, 100, 2001);
DELETE FROM ledger.instrument WHERE instrument_id = 2001;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 20 AND account_id = 4;

-- 6. Books are closed in themselves

SELECT risk.create_book(21, 'twenty-one');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (21, 1, 'USDT', 'alice');
SELECT risk.deposit(1, 5, book_id => 21) > 0 AS deposited;
SELECT book_id, account_id, sum(amount) AS amount FROM ledger.balance
 WHERE book_id IN (20, 21) AND account_id = 1 GROUP BY book_id, account_id ORDER BY book_id;
-- an account of the other book is unknown in this one
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (21, 1, 2001, 'buy', 1, 100, 2101), (21, 4, 2001, 'sell', 1, 100, 2101);
-- and an execution nets within each book, not over two of them
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (20, 1, 2001, 'buy', 1, 100, 2102), (21, 1, 2001, 'sell', 1, 100, 2102);
SELECT count(*) FROM ledger.trade WHERE execution_id IN (2101, 2102);
SELECT count(*) FROM risk.verify(20) WHERE violations > 0;
UPDATE ledger.book SET unmatched = 'whatever' WHERE book_id = 20;
DELETE FROM ledger.book WHERE book_id = 20;

SELECT * FROM risk.verify() WHERE violations > 0;
