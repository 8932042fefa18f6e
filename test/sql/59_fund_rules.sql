-- What goes into the insurance fund of each trading fee, and when nothing may
-- be taken out of it.  Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(5910, 'fund rules');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5910, 'instrument of 5910', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5910, 100);
INSERT INTO ledger.policy (policy_code, stages, trading_fee_to_fund)
VALUES ('fee share', '{own,fund,house}', 0.25), ('shared by 5910', '{own,suspense,socialise}', 0);
INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code)
VALUES (5910, 1, 'USDT', 'fee share'), (5910, 2, 'USDT', 'default'), (5910, 3, 'USDT', 'fee share'), (5910, 4, 'USDT', 'shared by 5910');
SELECT FROM risk.deposit(1, 1000, 5910);
SELECT FROM risk.deposit(2, 1000, 5910);
SELECT FROM risk.deposit(3, 11, 5910);
SELECT FROM risk.deposit(4, 100, 5910);
\set fund 'risk.system_account(5910, ''insurance_fund'', ''USDT'')'
\set house 'risk.system_account(5910, ''house'', ''USDT'')'
CREATE TEMP VIEW fees AS
SELECT e.cause - (SELECT min(trade_id) FROM ledger.trade WHERE book_id = 5910) + 1 AS trade, a.kind, e.kind AS entry, e.amount
  FROM ledger.entry e JOIN ledger.account a USING (book_id, account_id)
 WHERE e.book_id = 5910 AND e.kind IN ('trade_fee', 'fee_cut')
 ORDER BY e.cause, e.kind DESC, a.kind DESC;

-- A quarter of the fee of account 1, rounded down: of 1.11 that is 0.2775, so
-- 0.27 for the fund and 0.84 for the fee account.  Account 2 has a policy
-- without a share.
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price, fee)
VALUES (5910, 59101, 1, 5910, 'buy', 1, 100, 1.11), (5910, 59101, 2, 5910, 'sell', 1, 100, 2);
SELECT * FROM fees;
-- A rebate is the fee account's; so is the whole of a fee whose share is less than a digit.
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price, fee)
VALUES (5910, 59102, 1, 5910, 'buy', 1, 100, -0.50), (5910, 59102, 2, 5910, 'sell', 1, 100, 0),
	   (5910, 59103, 1, 5910, 'buy', 1, 100, 0.03), (5910, 59103, 2, 5910, 'sell', 1, 100, 0);
SELECT * FROM fees WHERE trade > 2;
SELECT kind, amount, balance, cause_kind, instrument_id FROM ledger.fund_history WHERE book_id = 5910 ORDER BY posted_at, slot, seq;

-- A fee that cannot be paid is cut, and all of it comes back from the fee
-- account: account 3 has 11, loses 10 and owes a fee of 4; 1 of it is paid,
-- 3 are cut.  The fund keeps the 1.00 that it was given, nobody is reset.
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price, fee)
VALUES (5910, 59104, 3, 5910, 'buy', 1, 100, 0), (5910, 59104, 2, 5910, 'sell', 1, 100, 0);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price, fee)
VALUES (5910, 59105, 3, 5910, 'sell', 1, 90, 4), (5910, 59105, 2, 5910, 'buy', 1, 90, 0);
SELECT * FROM fees WHERE trade > 6;
SELECT amount FROM ledger.balance WHERE book_id = 5910 AND account_id = 3;
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 5910;
-- The next version of the policy counts from its time on.
INSERT INTO ledger.policy (policy_code, version, stages, trading_fee_to_fund, effective_at)
VALUES ('fee share', 2, '{own,fund,house}', 1, DEFAULT), ('fee share', 3, '{own,fund,house}', 0.5, now() + interval '1 day');
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price, fee)
VALUES (5910, 59106, 1, 5910, 'sell', 1, 100, 1.11), (5910, 59106, 2, 5910, 'buy', 1, 100, 0);
SELECT * FROM fees WHERE trade > 10;
SELECT * FROM risk.verify(5910) WHERE violations > 0;

-- Nothing leaves the fund by choice while a shortfall of its asset is open:
-- account 4 had 100 and lost 130, and 30 stand on suspense.
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (5910, risk.system_account(5910, 'external', 'USDT'), :fund, 500, 'deposit');
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5910, 59107, 4, 5910, 'buy', 10, 100), (5910, 59107, 2, 5910, 'sell', 10, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5910, 59108, 4, 5910, 'sell', 10, 87), (5910, 59108, 2, 5910, 'buy', 10, 87);
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN format('%s: %s %s %s', SQLSTATE, regexp_replace(regexp_replace(SQLERRM, '^(\w+) \d+:', '\1:'), 'account -\d+', 'account ...'), detail, hint);
END
$$;
SELECT pg_temp.try(format('INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (5910, %s, %s, 100)', :fund, :house));
SELECT pg_temp.try(format('INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (5910, %s, %s, 1, ''withdrawal'')',
						  :fund, risk.system_account(5910, 'external', 'USDT')));
SELECT pg_temp.try(format('SELECT risk.post(5910, ARRAY[%s, %s], ARRAY[-1, 1])', :fund, :house));
SELECT place, result, transfer_id FROM risk.post_batch(5910, ARRAY[:fund], ARRAY[:house], ARRAY[1.0], mode => 'each');
-- A fact is booked all the same, and money that comes in.
SELECT pg_temp.try(format('INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (5910, %s, %s, 1, ''correction'')', :fund, :house));
SELECT pg_temp.try(format('INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (5910, %s, %s, 1)', :house, :fund));
-- When it is placed, the fund is free again.
SELECT stage, amount FROM risk.settle(5910);
SELECT pg_temp.try(format('INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (5910, %s, %s, 100)', :fund, :house));
SELECT * FROM risk.verify(5910) WHERE violations > 0;
