-- Pending deposits: they count for margin where the policy lets them, and never
-- for a withdrawal; what is gone again afterwards is a chargeback.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (4201, 'BTC of 421', 'USDT');
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) VALUES (4201, 0.05, 10);
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (4201, 100);
INSERT INTO ledger.policy (policy_code, stages, pending_deposits_count) VALUES ('421 counts', '{own,fund,house}', true);
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 42001;
ALTER TABLE ledger.pending_deposit ALTER deposit_id RESTART WITH 421;
SELECT risk.create_book(421, 'pending');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (421, 1, 'USDT', 'alice', '421 counts'), (421, 2, 'USDT', 'bob', 'default'), (421, 3, 'USDT', 'maker', 'default');
SELECT risk.deposit(1, 100, 421) > 0 AS alice, risk.deposit(2, 100, 421) > 0 AS bob, risk.deposit(3, 10000, 421) > 0 AS maker,
	   risk.deposit(risk.system_account(421, 'insurance_fund', 'USDT'), 1000, 421) > 0 AS fund;
CREATE TEMP VIEW stands AS
SELECT account_id, balance, equity, free_collateral, withdrawable, margin_level, liquidatable, pending_deposits
  FROM ledger.account_risk WHERE book_id = 421 AND account_id IN (1, 2) ORDER BY account_id;

-- 1. Long 10 at 100 for both, at a leverage of 10: 100 of initial margin, 50 of
-- maintenance.  300 are announced for each, and count for alice alone.

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (421, 1, 4201, 'buy', 10, 100, 4201), (421, 2, 4201, 'buy', 10, 100, 4201), (421, 3, 4201, 'sell', 20, 100, 4201);
SELECT risk.announce_deposit(1, 300, '0xaa', book_id => 421), risk.announce_deposit(2, 300, '0xbb', book_id => 421);
SELECT * FROM stands;
SELECT risk.withdraw(1, 1, 421);
-- at 94 an equity of 40 is less than the 47 that are required of bob
UPDATE ledger.mark_price SET price = 94 WHERE instrument_id = 4201;
SELECT * FROM stands;
-- a lower leverage needs 188, and alice has 100 - 60 + 300
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (421, 1, 4201, 5);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage) VALUES (421, 2, 4201, 5);
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 4201;

-- 2. Announced once

SELECT risk.announce_deposit(1, 300, '0xaa', book_id => 421) AS the_same;
SELECT risk.announce_deposit(1, 301, '0xaa', book_id => 421);

-- 3. Confirmed: it is on the balance, and may leave; asked again, nothing more happens

SELECT risk.confirm_deposit(421, book_id => 421), risk.confirm_deposit(421, book_id => 421) AS again;
SELECT * FROM stands WHERE account_id = 1;
SELECT deposit_id, amount, outcome, transfer_id FROM ledger.pending_deposit WHERE book_id = 421 ORDER BY deposit_id;
-- the confirmed deposit is charged back when the money is gone: 150 are missing,
-- operational, and not the fund's
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (421, 1, 4201, 'sell', 10, 100, 4202), (421, 3, 4201, 'buy', 10, 100, 4202);
SELECT risk.withdraw(1, 250, 421) > 0 AS withdrawn;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (421, 1, risk.system_account(421, 'external', 'USDT'), 300, 'chargeback');
SELECT stage, amount FROM ledger.reset WHERE book_id = 421;

-- 4. Cancelled, expired

SELECT risk.cancel_deposit(422, 'double spend', 421);
SELECT risk.confirm_deposit(422, book_id => 421);
SELECT risk.cancel_deposit(421, 'too late', 421);
SELECT risk.announce_deposit(1, 5, 'short', clock_timestamp() + interval '1 second', 421);
SELECT pending_deposits FROM stands WHERE account_id = 1;
SELECT pg_sleep(1.1);
SELECT pending_deposits FROM stands WHERE account_id = 1;
SELECT risk.expire_deposits();
-- the money comes all the same
SELECT risk.confirm_deposit(risk.announce_deposit(1, 5, 'short', book_id => 421), 4.5, 421) > 0 AS confirmed;
SELECT balance FROM stands WHERE account_id = 1;

-- 5. What cannot be announced

SELECT risk.announce_deposit(9, 1, book_id => 421);
SELECT risk.announce_deposit(-1, 1, book_id => 421);
SELECT risk.announce_deposit(1, 0.001, book_id => 421);
SELECT risk.announce_deposit(1, 0, book_id => 421);
SELECT risk.confirm_deposit(999, book_id => 421);
SELECT * FROM risk.verify() WHERE violations > 0;
