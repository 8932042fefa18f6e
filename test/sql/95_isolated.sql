-- Isolated margin: a position that stands alone, on a child account.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(951, 'isolated');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (951, 1, 'USDT', 'alice'), (951, 2, 'USDT', 'bob'), (951, 3, 'BTC', 'alice');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
VALUES (9501, 'BTC/USDT 951', 'USDT'), (9502, 'ETH/USDT 951', 'USDT'), (9503, 'BTC/BTC 951', 'BTC');
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage)
VALUES (9501, 0.04, 20), (9502, 0.04, 20);
INSERT INTO ledger.mark_price VALUES (9501, 100), (9502, 100);
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 95001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 95001;
SELECT risk.deposit(1, 1000, 951), risk.deposit(2, 100000, 951);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
VALUES (951, risk.system_account(951, 'external', 'USDT'), risk.system_account(951, 'insurance_fund', 'USDT'), 500);

CREATE TEMP VIEW account AS
SELECT account_id, parent_id, status, balance, unrealized_pnl, initial_margin, maintenance_margin, withdrawable
  FROM ledger.account_risk WHERE book_id = 951 AND owner_id = 'alice' AND asset_code = 'USDT' ORDER BY account_id;
CREATE TEMP VIEW isolated AS
SELECT account_id, instrument_id, qty, round(entry_price, 2) AS entry, round(liquidation_price, 2) AS liquidation,
	   round(bankruptcy_price, 2) AS bankruptcy
  FROM ledger.position_risk WHERE book_id = 951 AND account_id > 2 ORDER BY account_id;
-- a fill of an account against account 2
CREATE PROCEDURE pg_temp.fill(account_id bigint, instrument_id int, qty numeric, price numeric, fee numeric DEFAULT 0, kind text DEFAULT 'trade')
LANGUAGE sql AS $$
	WITH e AS (SELECT nextval('ledger.trade_execution_id_seq') AS id)
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, kind, execution_id)
	SELECT 951, v.account_id, $2, v.side, abs($3), $4, v.fee, v.kind, e.id
	  FROM e, (VALUES ($1, CASE WHEN $3 > 0 THEN 'buy' ELSE 'sell' END, $5, $6),
					  (2, CASE WHEN $3 > 0 THEN 'sell' ELSE 'buy' END, 0, 'trade')) AS v(account_id, side, fee, kind)
$$;

-- 1. Opening one, adding and removing

SELECT risk.open_isolated(1, 9501, 50, book_id => 951, child_id => 11);
SELECT account_id, kind, asset_code, owner_id, policy_code, parent_id, isolated_instrument_id, isolated_side
  FROM ledger.account WHERE book_id = 951 AND account_id = 11;
SELECT risk.add_margin(11, 30, 951);
SELECT * FROM account;
SELECT risk.add_margin(11, 920.01, 951);
SELECT risk.remove_margin(11, 80.01, 951);
SELECT risk.remove_margin(11, 80, 951, 'once') = risk.remove_margin(11, 80, 951, 'once') AS once;
SELECT * FROM account;

-- what is none
SELECT risk.open_isolated(1, 9501, 0, book_id => 951, child_id => 12);
SELECT risk.open_isolated(1, 9502, 1000.01, book_id => 951, child_id => 12);
SELECT risk.open_isolated(11, 9502, 0, book_id => 951, child_id => 12);
SELECT risk.open_isolated(1, 9503, 0, book_id => 951, child_id => 12);
SELECT risk.open_isolated(1, 9999, 0, book_id => 951, child_id => 12);
SELECT risk.open_isolated(77, 9501, 0, book_id => 951, child_id => 12);
SELECT risk.open_isolated(1, 9502, 0, 'both', 951, 12);
SELECT risk.open_isolated(1, 9502, -1, book_id => 951, child_id => 12);
\set VERBOSITY sqlstate
SELECT risk.open_isolated(1, 9502, NULL, book_id => 951, child_id => 12);
\set VERBOSITY default
SELECT risk.add_margin(1, 1, 951);
SELECT risk.remove_margin(77, 1, 951);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, parent_id, isolated_instrument_id)
VALUES (951, 12, 'USDT', 'bob', 1, 9502);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, parent_id, isolated_instrument_id)
VALUES (951, 12, 'BTC', 'alice', 1, 9503);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, parent_id, isolated_instrument_id)
VALUES (951, 12, 'USDT', NULL, 77, 9502);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, parent_id) VALUES (951, 12, 'USDT', 'alice', 1);
SELECT account_id FROM ledger.account WHERE book_id = 951 AND account_id > 0 ORDER BY 1;

-- 2. Which account a fill goes to

SELECT risk.isolated_account(1, 9501, book_id => 951) AS cross_margin;
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage, mode) VALUES (951, 1, 9501, 10, 'isolated');
SELECT risk.isolated_account(1, 9501, book_id => 951) AS isolated, risk.isolated_account(1, 9501, 'long', 951) AS either_side,
	   risk.isolated_account(1, 9502, book_id => 951) AS another;
CALL pg_temp.fill(1, 9501, 10, 100);
CALL pg_temp.fill(11, 9502, 10, 100);

-- 3. A fill that opens: 1,000 / 10 + 1 come from the parent.
--	  Liquidation: (1,000 - 100) / (10 * 0.96) = 93.75; all is lost at 90

CALL pg_temp.fill(11, 9501, 10, 100, 1);
SELECT * FROM account;
SELECT * FROM isolated;
SELECT risk.remove_margin(11, 0.01, 951);
SELECT risk.add_margin(11, 20, 951);
SELECT risk.remove_margin(11, 20.01, 951);
SELECT risk.remove_margin(11, 5, 951);
-- profit not yet realised is not to be had: 115 - 110
UPDATE ledger.mark_price SET price = 110 WHERE instrument_id = 9501;
SELECT risk.remove_margin(11, 5.01, 951);
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9501;
SELECT * FROM account;

-- 4. A fill that reduces

-- 115 + 20 - 1 = 134, of that 4 / 10 = 53.60; it can spare 134 - 60
CALL pg_temp.fill(11, 9501, -4, 105, 1);
SELECT * FROM account;
-- 80.40 - 20 = 60.40; it cannot spare anything: losses of 40, initial margin of 36
UPDATE ledger.mark_price SET price = 90 WHERE instrument_id = 9501;
CALL pg_temp.fill(11, 9501, -2, 90);
SELECT * FROM account;
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 9501;
-- 60.40 / 4
CALL pg_temp.fill(11, 9501, -1, 100);
-- 45.30 / 3 = 15.10, but it can spare 45.30 - 20 - 15 only
INSERT INTO ledger.order_reserve (book_id, account_id, instrument_id, order_id, amount) VALUES (951, 11, 9501, 1, 15);
CALL pg_temp.fill(11, 9501, -1, 100);
DELETE FROM ledger.order_reserve WHERE book_id = 951;
SELECT * FROM account;

-- 5. A flip is a close and an open: 35 + 20 - 2 = 53 go back, 330 / 10 come.
--	  Liquidation: (330 + 33) / (3 * 1.04)

CALL pg_temp.fill(11, 9501, -5, 110, 2);
SELECT * FROM account;
SELECT * FROM isolated;
-- and all goes back with the position: 33 + 30
CALL pg_temp.fill(11, 9501, 3, 100);
SELECT * FROM account;
SELECT e.cause - 95000 AS cause, e.account_id, e.amount, e.balance_after
  FROM ledger.entry e WHERE e.book_id = 951 AND e.kind = 'isolated_margin' ORDER BY e.cause, e.account_id, e.seq;

-- 6. At most what the parent can spare: 1,046 less 450 for 9,000 of another instrument, in one statement

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (951, 11, 9501, 'buy', 1, 100, 95001), (951, 2, 9501, 'sell', 1, 100, 95001),
	   (951, 1, 9502, 'buy', 90, 100, 95002), (951, 2, 9502, 'sell', 90, 100, 95002),
	   (951, 11, 9501, 'buy', 100, 100, 95003), (951, 2, 9501, 'sell', 100, 100, 95003);
SELECT * FROM account;
-- 596 * 100 / 101, but it can spare 596 - 10; in one statement as in two, 596 are back in the end
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (951, 11, 9501, 'sell', 100, 100, 95004), (951, 2, 9501, 'buy', 100, 100, 95004),
	   (951, 11, 9501, 'sell', 1, 100, 95005), (951, 2, 9501, 'buy', 1, 100, 95005);
SELECT e.amount, e.balance_after
  FROM ledger.entry e WHERE e.book_id = 951 AND e.account_id = 11 AND e.kind = 'isolated_margin' ORDER BY e.seq DESC LIMIT 4;
CALL pg_temp.fill(1, 9502, -90, 100);
-- nobody knows what a parent can spare with a position that has no mark
CALL pg_temp.fill(1, 9502, 1, 100);
BEGIN;
DELETE FROM ledger.mark_price WHERE instrument_id = 9502;
CALL pg_temp.fill(11, 9501, 1, 100);
SELECT * FROM account;
ROLLBACK;
CALL pg_temp.fill(1, 9502, -1, 100);
SELECT * FROM account;

-- 7. A loss beyond the child's balance is not the parent's

CALL pg_temp.fill(11, 9501, 10, 100);
CALL pg_temp.fill(11, 9501, -10, 80);
SELECT * FROM account;
-- nor is the margin of what is opened with it: the child keeps no position
UPDATE ledger.mark_price SET price = 80 WHERE instrument_id = 9501;
CALL pg_temp.fill(11, 9501, 10, 100);
CALL pg_temp.fill(11, 9501, -15, 80);
SELECT * FROM account;
SELECT * FROM isolated;
-- a claim on the child: what it has, and the house; the takeover moves no margin
CALL pg_temp.fill(11, 9501, 10, 80);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (951, 11, risk.system_account(951, 'external', 'USDT'), 100, 'chargeback');
SELECT * FROM account;
SELECT account_id, stage, shortfall, amount, balance_before, balance_after, cause_kind FROM ledger.reset WHERE book_id = 951 ORDER BY reset_id;
-- a liquidation leaves its margin where it is
CALL pg_temp.fill(11, 9501, 10, 80);
CALL pg_temp.fill(11, 9501, -5, 80, 0, 'liquidation');
SELECT * FROM account;
CALL pg_temp.fill(11, 9501, -5, 80);
SELECT * FROM account;

-- 8. Hedge mode: two children, each for its side

INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage, mode) VALUES (951, 1, 9502, 20, 'isolated');
SELECT risk.isolated_account(1, 9502, 'long', 951);
SELECT risk.open_isolated(1, 9502, 0, 'long', 951, 12), risk.open_isolated(1, 9502, 0, 'short', 951, 13);
SELECT risk.isolated_account(1, 9502, 'long', 951) AS long, risk.isolated_account(1, 9502, 'short', 951) AS short;
SELECT risk.isolated_account(1, 9502, NULL, 951);
CALL pg_temp.fill(12, 9502, 4, 100);
CALL pg_temp.fill(13, 9502, -2, 100);
SELECT * FROM account;
SELECT * FROM isolated;
CALL pg_temp.fill(12, 9502, -5, 100);
CALL pg_temp.fill(13, 9502, 2.5, 100);
CALL pg_temp.fill(12, 9502, -1, 100);
SELECT * FROM account;

-- 9. The choice of the parent holds for its children

INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (951, 12, 9502, 5);
-- 300 / 10 = 30, there are 15
UPDATE ledger.margin_setting SET leverage = 10 WHERE book_id = 951 AND instrument_id = 9502;
SELECT risk.add_margin(12, 15, 951);
UPDATE ledger.margin_setting SET leverage = 10 WHERE book_id = 951 AND instrument_id = 9502;
SELECT risk.add_margin(13, 10, 951);
UPDATE ledger.margin_setting SET leverage = 10 WHERE book_id = 951 AND instrument_id = 9502;
SELECT * FROM account;
UPDATE ledger.margin_setting SET mode = 'cross' WHERE book_id = 951 AND instrument_id = 9502;
DELETE FROM ledger.margin_setting WHERE book_id = 951;
SELECT account_id, payload FROM ledger.event WHERE book_id = 951 AND kind = 'margin_setting' ORDER BY event_id;

-- 10. States

UPDATE ledger.account SET status = 'frozen' WHERE book_id = 951 AND account_id = 1;
CALL pg_temp.fill(12, 9502, 1, 100);
-- what is given back is no opening
CALL pg_temp.fill(12, 9502, -1, 100);
UPDATE ledger.account SET status = 'active' WHERE book_id = 951 AND account_id = 1;
-- nothing leaves a frozen child
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 951 AND account_id = 12;
CALL pg_temp.fill(12, 9502, -1, 100);
SELECT * FROM account;
UPDATE ledger.account SET status = 'active' WHERE book_id = 951 AND account_id = 12;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 951 AND account_id = 12;
CALL pg_temp.fill(12, 9502, -1, 100);
UPDATE ledger.account SET status = 'closed' WHERE book_id = 951 AND account_id = 12;
SELECT risk.isolated_account(1, 9502, 'long', 951);
SELECT risk.open_isolated(1, 9502, 7, 'long', 951);
SELECT account_id, balance, status FROM account WHERE account_id = 12;
CALL pg_temp.fill(13, 9502, 2, 100);
UPDATE ledger.margin_setting SET mode = 'cross' WHERE book_id = 951;
BEGIN;
SELECT risk.withdraw(1, (SELECT balance FROM account WHERE account_id = 1), 951) IS NOT NULL;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 951 AND account_id = 1;
ROLLBACK;
UPDATE ledger.account SET parent_id = NULL, isolated_instrument_id = NULL WHERE book_id = 951 AND account_id = 11;
UPDATE ledger.account SET isolated_side = 'short' WHERE book_id = 951 AND account_id = 12;
UPDATE ledger.account SET owner_id = 'carol' WHERE book_id = 951 AND account_id = 1;
UPDATE ledger.account SET owner_id = 'carol' WHERE book_id = 951 AND account_id = 11;
UPDATE ledger.account SET owner_id = 'carol' WHERE book_id = 951 AND account_id IN (1, 11, 12, 13);

SELECT * FROM risk.verify() WHERE violations > 0;
