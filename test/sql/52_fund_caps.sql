-- The caps of the insurance fund: for one shortfall, and for one owner and all
-- accounts of a policy in a day.  What a cap cuts goes on to the next stage.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5201, 'A of 52', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5201, 100);
CREATE TEMP SEQUENCE execution START 52001;
INSERT INTO ledger.policy (policy_code, stages, fund_cap_per_event, fund_cap_per_owner, fund_cap_per_day) VALUES
	('52 event', '{own,fund,house}', 40, NULL, NULL),
	('52 owner', '{own,fund,house}', NULL, 100, NULL),
	('52 day', '{own,fund,house}', NULL, NULL, 150),
	('52 whole', '{own,fund_if_whole,suspense,fund,house}', 50, NULL, NULL);
CREATE PROCEDURE pg_temp.venue(book int, policy text, fund numeric) LANGUAGE sql AS $$
	SELECT risk.create_book(book, policy);
	INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
	VALUES (book, 1, 'USDT', 'alice', policy), (book, 2, 'USDT', 'alice', policy), (book, 3, 'USDT', NULL, policy),
		   (book, 4, 'USDT', 'maker', 'electra'), (book, 5, 'USDT', 'bob', policy);
	SELECT risk.deposit(4, 100000, book), risk.deposit(risk.system_account(book, 'insurance_fund', 'USDT'), fund, book)
$$;
CREATE PROCEDURE pg_temp.lose(book int, account bigint, amount numeric) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	SELECT book, l.account_id, 5201, l.side, 1, l.price, e.id + l.part
	  FROM (SELECT nextval('execution') * 10 AS id) e,
		   (VALUES (account, 'buy', 10000, 0), (4, 'sell', 10000, 0), (account, 'sell', 10000 - amount, 1), (4, 'buy', 10000 - amount, 1)) AS l(account_id, side, price, part)
$$;
CREATE TEMP VIEW paid AS
SELECT r.book_id, r.account_id, s.amount AS shortfall, string_agg(format('%s %s', r.stage, r.amount), ', ' ORDER BY r.reset_id) AS payers
  FROM ledger.reset r JOIN ledger.shortfall s USING (book_id, shortfall_id) GROUP BY r.book_id, r.shortfall_id, r.account_id, s.amount ORDER BY r.shortfall_id;

-- 1. For one shortfall: 40 at the most

CALL pg_temp.venue(521, '52 event', 1000);
CALL pg_temp.lose(521, 1, 40);
CALL pg_temp.lose(521, 1, 40.01);
SELECT account_id, shortfall, payers FROM paid WHERE book_id = 521;
SELECT account_id, payload - 'shortfall_id' AS payload FROM ledger.event WHERE book_id = 521 AND kind = 'fund_capped';

-- 2. For one owner in a day: 100, over both of alice's accounts; who has no owner
-- is his own; two in one transaction count for each other

CALL pg_temp.venue(522, '52 owner', 1000);
CALL pg_temp.lose(522, 1, 70);
BEGIN;
CALL pg_temp.lose(522, 2, 20);
CALL pg_temp.lose(522, 1, 20);
CALL pg_temp.lose(522, 3, 90);
COMMIT;
CALL pg_temp.lose(522, 2, 5);
SELECT account_id, shortfall, payers FROM paid WHERE book_id = 522;
SELECT scope, subject, amount FROM ledger.fund_use WHERE book_id = 522 ORDER BY scope, subject;

-- 3. For all of a policy in a day: 150, or what the fund has

CALL pg_temp.venue(523, '52 day', 1000);
CALL pg_temp.lose(523, 1, 100);
CALL pg_temp.lose(523, 5, 60);
CALL pg_temp.lose(523, 3, 1);
SELECT account_id, shortfall, payers FROM paid WHERE book_id = 523;
-- yesterday's do not count
CALL pg_temp.venue(524, '52 day', 1000);
SET session_replication_role = replica;
INSERT INTO ledger.fund_use VALUES (524, 'USDT', (clock_timestamp() AT TIME ZONE 'UTC')::date - 1, 'policy', '52 day', 150);
RESET session_replication_role;
CALL pg_temp.lose(524, 1, 100);
SELECT account_id, shortfall, payers FROM paid WHERE book_id = 524;
SELECT check_name, violations FROM risk.verify(524) WHERE violations > 0;
SET session_replication_role = replica;
DELETE FROM ledger.fund_use WHERE book_id = 524 AND day < (clock_timestamp() AT TIME ZONE 'UTC')::date;
RESET session_replication_role;
CALL pg_temp.venue(525, '52 day', 30);
CALL pg_temp.lose(525, 1, 50);
SELECT account_id, shortfall, payers FROM paid WHERE book_id = 525;

-- 4. The whole loss or nothing: a cap of 50 makes it nothing, and what the fund
-- pays after the commit is capped alike

CALL pg_temp.venue(526, '52 whole', 1000);
CALL pg_temp.lose(526, 1, 50);
CALL pg_temp.lose(526, 5, 60);
SELECT account_id, shortfall, payers FROM paid WHERE book_id = 526;
SELECT stage, amount FROM risk.settle(526);
SELECT scope, subject, amount FROM ledger.fund_use WHERE book_id = 526 ORDER BY scope, subject;

-- 5. Of a cap with more digits than the asset whole units are paid, rounded
-- down, in the commit and after it: 40 of 40.5, and never 41

INSERT INTO ledger.asset VALUES ('WHOLE', 0);
INSERT INTO ledger.policy (policy_code, stages, fund_cap_per_event, fund_cap_per_owner) VALUES
	('52 fraction', '{own,fund,house}', 40.5, NULL), ('52 fraction later', '{own,suspense,fund,house}', NULL, 40.9);
SELECT risk.create_book(527, 'whole units');
INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code)
VALUES (527, 1, 'WHOLE', '52 fraction'), (527, 2, 'WHOLE', '52 fraction later'), (527, 3, 'WHOLE', 'electra');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5202, 'B of 52', 'WHOLE');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5202, 100);
SELECT risk.deposit(3, 1000, 527) AS maker, risk.deposit(risk.system_account(527, 'insurance_fund', 'WHOLE'), 41, 527) AS fund \gset
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES
	(527, 1, 5202, 'buy', 1, 100, 1), (527, 3, 5202, 'sell', 1, 100, 1), (527, 1, 5202, 'sell', 1, 50, 2), (527, 3, 5202, 'buy', 1, 50, 2);
SELECT account_id, shortfall, payers FROM paid WHERE book_id = 527;
SELECT risk.deposit(risk.system_account(527, 'insurance_fund', 'WHOLE'), 40, 527) AS fund \gset
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES
	(527, 2, 5202, 'buy', 1, 100, 3), (527, 3, 5202, 'sell', 1, 100, 3), (527, 2, 5202, 'sell', 1, 50, 4), (527, 3, 5202, 'buy', 1, 50, 4);
SELECT stage, amount FROM risk.settle(527);
SELECT balance FROM ledger.fund_status WHERE book_id = 527 AND asset_code = 'WHOLE';

-- 6. Nobody writes it but posting

INSERT INTO ledger.fund_use VALUES (521, 'USDT', '2020-01-01', 'owner', 'alice', 1);
SELECT * FROM risk.verify() WHERE violations > 0;
