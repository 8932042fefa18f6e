-- Busts: an execution that should not have been is taken back on all sides.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (4101, 'BTC of 411', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (4101, 100);
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 41501;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 41501;
INSERT INTO ledger.policy (policy_code, stages, recourse) VALUES ('411 debt', '{own,fund,receivable}', 'debt'), ('411 shared', '{own,fund,suspense,socialise}', 'none');
SELECT risk.create_book(411, 'busts');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (411, 1, 'USDT', 'alice', 'default'), (411, 2, 'USDT', 'bob', 'default'), (411, 3, 'USDT', 'maker', 'default'),
	   (411, 4, 'USDT', 'dave', '411 debt'), (411, 5, 'USDT', 'erin', '411 shared');
SELECT risk.deposit(1, 1000, 411) > 0 AS alice, risk.deposit(2, 1000, 411) > 0 AS bob, risk.deposit(3, 100000, 411) > 0 AS maker,
	   risk.deposit(risk.system_account(411, 'insurance_fund', 'USDT'), 500, 411) > 0 AS fund;
CREATE PROCEDURE pg_temp.fill(execution bigint, buyer bigint, seller bigint, qty numeric, price numeric, kind text DEFAULT 'trade',
							  buyer_fee numeric DEFAULT 0) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, kind, fee, execution_id)
	SELECT 411, s.account, 4101, s.side, qty, price, kind, s.fee, execution
	  FROM (VALUES (buyer, 'buy', buyer_fee), (seller, 'sell', 0)) AS s(account, side, fee)
$$;
CREATE TEMP VIEW stands AS
SELECT coalesce(a.owner_id, a.kind) AS party, b.amount, trim_scale(p.qty) AS qty, trim_scale(p.cost) AS cost
  FROM ledger.account a
  JOIN (SELECT book_id, account_id, sum(amount) AS amount FROM ledger.balance GROUP BY book_id, account_id) b USING (book_id, account_id)
  LEFT JOIN ledger.position p USING (book_id, account_id)
 WHERE a.book_id = 411 AND a.asset_code = 'USDT' AND a.kind IN ('trader', 'insurance_fund', 'house', 'fee', 'receivable', 'suspense')
   AND (b.amount <> 0 OR p.qty <> 0) ORDER BY a.account_id DESC;

-- 1. Still open: nothing was realised, and nothing is.  The fee comes back.

CALL pg_temp.fill(4101, 1, 3, 1, 150, buyer_fee => 0.75);
SELECT risk.bust(4101, 'wrong print', 411) < 0 AS busted;
SELECT * FROM stands;
SELECT account_id, side, qty, price, fee, kind FROM ledger.trade WHERE book_id = 411 ORDER BY trade_id;
-- once
\set VERBOSITY terse
SELECT risk.bust(4101, 'again', 411);
\set VERBOSITY default

-- 2. Opened by the print and closed since: long 1 at 150, which was wrong, sold
-- at 90, which was right: 60 lost.  Without the print alice would be short 1 at
-- 90 and have lost nothing: the 60 come back, and the position is that.

CALL pg_temp.fill(4102, 1, 3, 1, 150);
CALL pg_temp.fill(4103, 3, 1, 1, 90);
SELECT * FROM stands WHERE party IN ('alice', 'maker');
SELECT risk.bust(4102, 'wrong print', 411) < 0 AS busted;
SELECT * FROM stands WHERE party IN ('alice', 'maker');
SELECT kind, amount, balance_after FROM ledger.entry WHERE book_id = 411 AND account_id = 1 ORDER BY seq;
-- and so on from there: closed at 80, ten are gained
CALL pg_temp.fill(4104, 1, 3, 1, 80);
SELECT * FROM stands WHERE party IN ('alice', 'maker');

-- 3. A wrong print that closed a position: long 10 at 100, the print sells 10 at
-- 40, 600 lost.  The bust gives them back, and the position.

CALL pg_temp.fill(4105, 2, 3, 10, 100);
CALL pg_temp.fill(4106, 3, 2, 10, 40);
SELECT * FROM stands WHERE party = 'bob';
SELECT risk.bust(4106, 'wrong print', 411) < 0 AS busted;
SELECT * FROM stands WHERE party = 'bob';

-- 4. Wrong print, liquidation, reset, bust, fund as before.  Bob, long 10 from 100
-- with 1,000, buys 5 at 300 by a wrong print; a mark of 20 that was none has all 15
-- liquidated: 800 and 1,400 are lost, 1,200 more than he has.  The fund pays 500 of
-- it, the house 700.

SELECT * FROM stands WHERE party IN ('insurance_fund', 'house');
CALL pg_temp.fill(4107, 2, 3, 5, 300);
UPDATE ledger.mark_price SET price = 20 WHERE instrument_id = 4101;
CALL pg_temp.fill(4108, 3, 2, 15, 20, 'liquidation');
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 4101;
SELECT account_id, stage, shortfall, amount FROM ledger.reset WHERE book_id = 411;
SELECT * FROM stands WHERE party IN ('bob', 'insurance_fund', 'house');
-- the liquidation is taken back first, then the print: 2,200 came back by the
-- first, 1,200 of it for the house and the fund, 1,000 for bob
SELECT risk.bust(4108, 'the mark was wrong', 411) < 0 AS busted;
SELECT * FROM stands WHERE party IN ('bob', 'insurance_fund', 'house');
SELECT risk.bust(4107, 'wrong print', 411) < 0 AS busted;
SELECT * FROM stands WHERE party IN ('bob', 'insurance_fund', 'house');
SELECT y.account_id, a.kind, y.stage, y.amount, y.execution_id
  FROM ledger.repayment y JOIN ledger.account a ON a.book_id = y.book_id AND a.account_id = y.payee_account
 WHERE y.book_id = 411 ORDER BY y.repayment_id;

-- 5. With a debt: what comes back settles it, and the freeze ends

SELECT risk.deposit(4, 100, 411) > 0 AS paid;
CALL pg_temp.fill(4109, 4, 3, 1, 1000);
CALL pg_temp.fill(4110, 3, 4, 1, 300);
SELECT status, (SELECT outstanding FROM ledger.open_debt d WHERE d.book_id = 411 AND d.account_id = 4) AS owes FROM ledger.account WHERE book_id = 411 AND account_id = 4;
SELECT * FROM stands WHERE party IN ('dave', 'insurance_fund', 'receivable');
SELECT risk.bust(4110, 'wrong print', 411) < 0 AS busted;
SELECT status, (SELECT outstanding FROM ledger.open_debt d WHERE d.book_id = 411 AND d.account_id = 4) AS owes FROM ledger.account WHERE book_id = 411 AND account_id = 4;
SELECT * FROM stands WHERE party IN ('dave', 'insurance_fund', 'receivable');

-- 6. With a loss that was shared: who shared it gets it back

SELECT risk.withdraw(risk.system_account(411, 'insurance_fund', 'USDT'), 500, 411) > 0 AS fund_empty;
CALL pg_temp.fill(4111, 5, 3, 1, 100);
CALL pg_temp.fill(4112, 3, 5, 1, 70);
SELECT * FROM stands WHERE party IN ('erin', 'suspense');
SELECT stage, account_id, amount FROM ledger.shortfall_payment WHERE book_id = 411;
SELECT count(*) > 0 AS settled FROM risk.settle(411);
SELECT y.stage, a.owner_id, y.amount FROM ledger.shortfall_payment y JOIN ledger.account a USING (book_id, account_id) WHERE y.book_id = 411 ORDER BY y.payment_id;
SELECT amount FROM stands WHERE party = 'alice';
SELECT risk.bust(4112, 'wrong print', 411) < 0 AS busted;
SELECT amount FROM stands WHERE party = 'alice';
SELECT y.stage, sum(y.amount) FROM ledger.repayment y WHERE y.book_id = 411 AND y.execution_id = 4112 GROUP BY y.stage;
SELECT * FROM stands WHERE party IN ('erin', 'suspense');

-- 7. What the one who gained has taken away is operational: never the fund's

SELECT risk.deposit(risk.system_account(411, 'insurance_fund', 'USDT'), 500, 411) > 0 AS fund, risk.withdraw(1, 1010, 411) > 0 AS alice_is_out;
SELECT risk.deposit(1, 50, 411) > 0 AS paid;
CALL pg_temp.fill(4113, 1, 3, 1, 100);
CALL pg_temp.fill(4114, 3, 1, 1, 400);
SELECT risk.withdraw(1, 350, 411) > 0 AS gone;
SELECT risk.bust(4114, 'wrong print', 411) < 0 AS busted;
SELECT stage, amount, operational FROM ledger.reset JOIN ledger.shortfall s USING (book_id, shortfall_id, amount) WHERE book_id = 411 AND s.account_id = 1;
SELECT * FROM stands WHERE party IN ('alice', 'insurance_fund');

-- 8. What cannot be busted

SELECT risk.bust(99999, 'unknown', 411);
\set VERBOSITY terse
SELECT risk.bust(4113, '', 411);
\set VERBOSITY default
DO $$ BEGIN PERFORM risk.bust(bust_execution_id, 'a bust', 411) FROM ledger.bust WHERE book_id = 411 AND execution_id = 4114; EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLSTATE; END $$;
SELECT * FROM risk.verify() WHERE violations > 0;
