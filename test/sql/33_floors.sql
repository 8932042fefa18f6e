-- Floors that are changed: credit lines, what a fund keeps, resets to the floor.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(303, 'floors');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (303, 1, 'USDT', 'alice', 'electra'), (303, 2, 'USDT', 'bob', 'electra'), (303, 3, 'USDT', 'carol', 'electra'),
	   (303, 4, 'USDT', 'dave', 'strict'), (303, 5, 'USDT', 'erin', 'electra');
SELECT risk.system_account(303, 'external', 'USDT') AS external, risk.system_account(303, 'insurance_fund', 'USDT') AS fund,
	   risk.system_account(303, 'house', 'USDT') AS house \gset
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 33001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 33001;
CREATE TEMP VIEW standing AS
SELECT coalesce(a.owner_id, a.kind) AS party, sum(b.amount) AS balance, max(b.floor) AS floor
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 303 AND a.asset_code = 'USDT' AND (a.account_id > 0 OR a.kind IN ('insurance_fund', 'house'))
 GROUP BY a.account_id, a.owner_id, a.kind ORDER BY a.account_id;

-- 1. Below zero: a credit line, which withdrawals may use

SELECT risk.deposit(1, 10, 303) > 0 AS deposited;
SELECT risk.set_floor(1, -100, 'a line of 100', 303);
SELECT withdrawable FROM ledger.account_risk WHERE book_id = 303 AND account_id = 1;
SELECT risk.withdraw(1, 110.01, 303);
SELECT risk.withdraw(1, 110, 303) > 0 AS withdrawn;
SELECT * FROM standing WHERE party = 'alice';

-- 2. Raised: up to the balance, and nobody pays for more

SELECT risk.set_floor(1, -99.99, 'back to nothing', 303);
SELECT risk.deposit(1, 40, 303) > 0 AS deposited;
SELECT risk.set_floor(account_id => 1, floor => -60, reason => 'less', book_id => 303);
SELECT risk.set_floor(1, -59.99, 'too much', 303);
SELECT risk.withdraw(1, 0.01, 303);
-- the same again is no change
SELECT risk.set_floor(1, -60.00, 'again', 303);
SELECT risk.deposit(1, 110, 303) > 0 AS deposited;
SELECT risk.set_floor(1, 0, 'as before', 303);
-- above zero it would be a guarantee
SELECT risk.set_floor(1, 0.01, 'kept back', 303);
SELECT payload, who = session_user AS who FROM ledger.event
 WHERE book_id = 303 AND kind = 'floor_change' ORDER BY event_id;

-- 3. A loss: the account bears it down to its floor, others what is beyond

INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (3301, 'BTC/USDT 33', 'USDT');
INSERT INTO ledger.mark_price VALUES (3301, 100);
SELECT risk.deposit(2, 10, 303) > 0 AS deposited, risk.deposit(3, 1000, 303) > 0 AS deposited, risk.deposit(:fund, 40, 303) > 0 AS deposited;
SELECT risk.set_floor(2, -30, 'a line of 30', 303);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (303, 2, 3301, 'buy', 1, 100, 33001), (303, 3, 3301, 'sell', 1, 100, 33001);
-- 10 - 35 = -25: within the line
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (303, 2, 3301, 'sell', 1, 65, 33002), (303, 3, 3301, 'buy', 1, 65, 33002);
SELECT * FROM standing WHERE party = 'bob';
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (303, 2, 3301, 'buy', 1, 100, 33003), (303, 3, 3301, 'sell', 1, 100, 33003);
-- -25 - 20 = -45: reset to -30, and the fund pays 15
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (303, 2, 3301, 'sell', 1, 80, 33004), (303, 3, 3301, 'buy', 1, 80, 33004);
SELECT account_id, stage, shortfall, amount, balance_before, balance_after, payer_before, payer_after
  FROM ledger.reset WHERE book_id = 303 ORDER BY reset_id;
-- where the policy lets nobody else pay, the line counts as well
SELECT risk.set_floor(4, -5, 'a line of 5', 303);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (303, 4, :external, 5, 'chargeback');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (303, 4, :external, 0.01, 'chargeback');
SELECT * FROM standing;

-- 4. In one transaction: what counts is the floor at the commit

BEGIN;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (303, 5, :external, 20, 'chargeback');
SELECT risk.set_floor(5, -20, 'agreed on the phone', 303);
COMMIT;
BEGIN;
SELECT risk.deposit(5, 18, 303) > 0 AS deposited;
SELECT risk.set_floor(5, -2, 'no longer', 303);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (303, 5, :external, 3, 'chargeback');
COMMIT;
-- below its floor still, so the floor is not raised further
BEGIN;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (303, 5, :external, 3, 'chargeback');
SELECT risk.set_floor(5, -1, 'out of nothing', 303);
ROLLBACK;
BEGIN;
SELECT risk.set_floor(5, -7, 'not meant', 303);
ROLLBACK;
SELECT * FROM standing WHERE party = 'erin';
SELECT account_id, stage, amount, balance_after FROM ledger.reset WHERE book_id = 303 AND account_id = 5;

-- 5. The fund: its floor counts for the sum of its slots

SELECT * FROM standing WHERE party = 'insurance_fund';
CREATE FUNCTION pg_temp.fund_floor(floor numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN risk.set_floor(risk.system_account(303, 'insurance_fund', 'USDT'), floor, 'a reserve', 303);
EXCEPTION WHEN check_violation THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END
$$;
SELECT pg_temp.fund_floor(25.01);
SELECT pg_temp.fund_floor(20);
-- 5 is above it: the fund pays 5 of 10, the house the rest
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (303, 2, 3301, 'buy', 1, 100, 33005), (303, 3, 3301, 'sell', 1, 100, 33005);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (303, 2, 3301, 'sell', 1, 90, 33006), (303, 3, 3301, 'buy', 1, 90, 33006);
SELECT stage, shortfall, amount, payer_after FROM ledger.reset WHERE book_id = 303 AND account_id = 2 ORDER BY reset_id DESC LIMIT 2;
SELECT pg_temp.fund_floor(-1);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (303, :fund, :house, 21);
SELECT * FROM standing WHERE party = 'insurance_fund';

-- 6. Errors

SELECT risk.set_floor(77, 0, 'nobody', 303);
SELECT risk.set_floor(1, 0, 'no book', 3030);
SELECT risk.set_floor(1, 0.001, 'digits', 303);
SELECT risk.set_floor(1, 'NaN', 'no number', 303);
SELECT risk.set_floor(1, '-Infinity', 'without end', 303);
SELECT risk.set_floor(1, -123456789012345678901, 'digits', 303);
SELECT risk.set_floor(1, 0, '', 303);
SELECT risk.set_floor(1, NULL, 'none', 303);
SELECT risk.set_floor(1, 0, NULL, 303);
DO $$
BEGIN
	PERFORM risk.set_floor(risk.system_account(303, 'external', 'USDT'), 0, 'no', 303);
EXCEPTION WHEN invalid_parameter_value THEN
	RAISE NOTICE '%', regexp_replace(SQLERRM, '-\d+', 'n');
END
$$;
CREATE ROLE regress_risk_nobody;
SET SESSION AUTHORIZATION regress_risk_nobody;
SELECT risk.set_floor(1, -1000000, 'please', 303);
RESET SESSION AUTHORIZATION;
DROP ROLE regress_risk_nobody;

SELECT * FROM risk.verify() WHERE violations > 0;
