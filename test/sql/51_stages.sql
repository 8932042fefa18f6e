-- The stages in the commit, beside fund and house, which are in 50_reset: what
-- stands on suspense or is receivable, a fund that pays whole losses only, and
-- the record of shortfalls and takeovers.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5101, 'A of 51', 'USDT'), (5102, 'B of 51', 'USDT'), (5103, 'C of 51', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5101, 100), (5102, 100);
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 51001;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 51001;
CREATE TEMP SEQUENCE execution START 51001;
INSERT INTO ledger.policy (policy_code, stages) VALUES
	('51 receivable', '{own,fund,receivable}'), ('51 suspense', '{own,fund,suspense,socialise}'),
	('51 whole', '{own,fund_if_whole,suspense,adl,fund,house}'), ('51 whole house', '{own,fund_if_whole,house}');
-- a fund of 100, and traders with nothing
CREATE PROCEDURE pg_temp.venue(book int, policy text) LANGUAGE sql AS $$
	SELECT risk.create_book(book, policy);
	INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
	SELECT book, n, 'USDT', owner, policy FROM unnest(ARRAY['alice', 'bob', 'carol', 'maker']) WITH ORDINALITY AS u(owner, n);
	SELECT risk.deposit(4, 10000, book), risk.deposit(risk.system_account(book, 'insurance_fund', 'USDT'), 100, book)
$$;
CREATE PROCEDURE pg_temp.fill(book int, buyer bigint, seller bigint, instrument int, qty numeric, price numeric) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	SELECT book, s.account, instrument, s.side, qty, price, e.id
	  FROM (SELECT nextval('execution') AS id) e, (VALUES (buyer, 'buy'), (seller, 'sell')) AS s(account, side)
$$;
CREATE PROCEDURE pg_temp.lose(book int, account bigint, amount numeric) LANGUAGE plpgsql AS $$
BEGIN
	CALL pg_temp.fill(book, account, 4, 5101, 1, 10000);
	CALL pg_temp.fill(book, 4, account, 5101, 1, 10000 - amount);
END
$$;
CREATE TEMP VIEW shortfalls AS
SELECT s.book_id, a.owner_id, s.amount, s.operational, s.cause_kind, s.policy_code,
	   array_agg(format('%s %s', r.stage, r.amount) ORDER BY r.reset_id) AS payers, o.remaining AS open
  FROM ledger.shortfall s JOIN ledger.account a USING (book_id, account_id)
  JOIN ledger.reset r USING (book_id, shortfall_id) LEFT JOIN ledger.open_shortfall o USING (book_id, shortfall_id)
 GROUP BY s.book_id, s.shortfall_id, a.owner_id, s.amount, s.operational, s.cause_kind, s.policy_code, o.remaining
 ORDER BY s.shortfall_id;
CREATE TEMP VIEW system AS
SELECT a.book_id, a.kind, sum(b.amount) AS balance FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.kind IN ('insurance_fund', 'house', 'receivable', 'suspense', 'liquidity') AND a.asset_code = 'USDT'
 GROUP BY a.book_id, a.kind HAVING sum(b.amount) <> 0 ORDER BY a.book_id, a.kind;

-- 1. The fund as far as it goes, and the rest is receivable

CALL pg_temp.venue(510, '51 receivable');
CALL pg_temp.lose(510, 1, 130);
SELECT owner_id, amount, payers, open FROM shortfalls WHERE book_id = 510;
SELECT kind, balance FROM system WHERE book_id = 510;

-- 2. The fund, and the rest stands on suspense until it is settled

CALL pg_temp.venue(511, '51 suspense');
CALL pg_temp.lose(511, 1, 130);
CALL pg_temp.lose(511, 2, 7);
SELECT owner_id, amount, payers, open FROM shortfalls WHERE book_id = 511;
SELECT kind, balance FROM system WHERE book_id = 511;
-- what is not the market's is the house's, not the fund's, and is not shared
BEGIN;
CALL pg_temp.lose(511, 3, 20);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (511, 3, risk.system_account(511, 'external', 'USDT'), 5, 'chargeback');
COMMIT;
SELECT owner_id, amount, operational, payers, open FROM shortfalls WHERE book_id = 511 AND owner_id = 'carol';

-- 3. A fund that pays whole losses only: exactly 100 it does, and one cent more it does not

CALL pg_temp.venue(512, '51 whole');
CALL pg_temp.lose(512, 1, 100.01);
CALL pg_temp.lose(512, 2, 100);
CALL pg_temp.lose(512, 3, 1);
SELECT owner_id, amount, payers, open FROM shortfalls WHERE book_id = 512;
SELECT kind, balance FROM system WHERE book_id = 512;
CALL pg_temp.venue(513, '51 whole house');
CALL pg_temp.lose(513, 1, 100.01);
CALL pg_temp.lose(513, 2, 60);
CALL pg_temp.lose(513, 3, 60);
SELECT owner_id, amount, payers FROM shortfalls WHERE book_id = 513;

-- 4. Positions are taken over at the mark; what they would have had to fetch is
-- on record.  Long 10 at 100 and long 10 at 100 with 50 of money, and 150 lost
-- elsewhere: 100 are missing, 50 of them on each, and 5 on each contract.

CALL pg_temp.venue(514, '51 suspense');
SELECT risk.deposit(1, 50, 514) > 0 AS paid;
CALL pg_temp.fill(514, 1, 4, 5101, 10, 100);
CALL pg_temp.fill(514, 1, 4, 5102, 10, 100);
BEGIN;
CALL pg_temp.fill(514, 1, 4, 5103, 1, 10000);
CALL pg_temp.fill(514, 4, 1, 5103, 1, 9850);
COMMIT;
SELECT t.instrument_id, t.qty, t.price, t.mark_price, t.bankruptcy_price, t.shortfall_id = s.shortfall_id AS of_the_shortfall
  FROM ledger.takeover t JOIN ledger.shortfall s USING (book_id, account_id) WHERE t.book_id = 514 ORDER BY t.instrument_id;
SELECT owner_id, amount, payers, open FROM shortfalls WHERE book_id = 514;
SELECT kind, qty, price FROM ledger.trade WHERE book_id = 514 AND kind = 'takeover' AND account_id = 1 ORDER BY trade_id;

-- 5. The policy in force is the latest whose time has come, when the transaction commits

CALL pg_temp.venue(515, '51 whole house');
INSERT INTO ledger.policy (policy_code, version, stages, effective_at) VALUES ('51 whole house', 2, '{own,house}', '2000-01-01');
SELECT effective_at > now() - interval '1 minute' AS not_before_it_was_written FROM ledger.policy WHERE policy_code = '51 whole house' AND version = 2;
INSERT INTO ledger.policy (policy_code, version, stages, effective_at) VALUES ('51 whole house', 3, '{own,receivable}', '2100-01-01');
BEGIN;
CALL pg_temp.lose(515, 1, 10);
INSERT INTO ledger.policy (policy_code, version, stages) VALUES ('51 whole house', 4, '{own,fund,house}');
COMMIT;
SELECT owner_id, amount, payers FROM shortfalls WHERE book_id = 515;
SELECT policy_version FROM ledger.reset WHERE book_id = 515;

-- 6. What no policy can be

\set VERBOSITY terse
INSERT INTO ledger.policy (policy_code, stages) VALUES ('51 wrong', '{own,fund}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('51 wrong', '{own,adl,house}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('51 wrong', '{own,suspense}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('51 wrong', '{own,suspense,adl}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('51 wrong', '{own,suspense,house,adl}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('51 wrong', '{own,fund,fund_if_whole,house}');
INSERT INTO ledger.policy (policy_code, stages) VALUES ('51 wrong', '{own,lottery}');
INSERT INTO ledger.policy (policy_code, stages, recourse) VALUES ('51 wrong', '{own,reject}', 'debt');
INSERT INTO ledger.policy (policy_code, stages, liquidation_fee_base) VALUES ('51 wrong', '{own,house}', 1.5);
INSERT INTO ledger.policy (policy_code, stages, liquidation_fee_to_fund, liquidation_fee_to_liquidator) VALUES ('51 wrong', '{own,house}', 0.6, 0.5);
INSERT INTO ledger.policy (policy_code, stages, alert_levels) VALUES ('51 wrong', '{own,house}', '{120,-1}');
INSERT INTO ledger.policy (policy_code, stages, adl_formula) VALUES ('51 wrong', '{own,house}', 'by_age');
\set VERBOSITY default
SELECT * FROM risk.verify() WHERE violations > 0;
