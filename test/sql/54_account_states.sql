-- The states of an account: what may be done to it in each.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET timezone = 'UTC';
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5401, 'BTC of 541', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5401, 100);
INSERT INTO ledger.policy (policy_code, stages, late_fill, frozen_reduces) VALUES ('541 strict', '{own,fund,house}', 'refuse', false);
INSERT INTO ledger.policy (policy_code, stages, recourse) VALUES ('541 debt', '{own,receivable}', 'debt');
SELECT risk.create_book(541, 'states');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (541, 1, 'USDT', 'maker'), (541, 2, 'USDT', 'friend');
SELECT risk.deposit(1, 1000000, 541) > 0 AS maker, risk.deposit(2, 1000, 541) > 0 AS friend;
CREATE TEMP SEQUENCE execution START 54001;
CREATE PROCEDURE pg_temp.fill(account bigint, side text, qty numeric, late interval DEFAULT '0', kind text DEFAULT 'trade') LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, kind, execution_id, executed_at)
	SELECT 541, s.account, 5401, s.side, qty, 100, s.kind, e.id, clock_timestamp() - late
	  FROM (SELECT nextval('execution') AS id) e,
		   (VALUES (account, side, kind), (1, CASE side WHEN 'buy' THEN 'sell' ELSE 'buy' END, 'trade')) AS s(account, side, kind)
$$;

-- 1. Every operation in every state: an account that is long 2, has 1,000 and a
-- child with 100 is put into the state, the operation is tried, and all is
-- rolled back.  A closed account has none of it.  LATE is executed an hour ago,
-- before the state changed; otherwise it is executed after.

CREATE FUNCTION pg_temp.attempt(state text, operation text, policy text DEFAULT 'default') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
	VALUES (541, 10, 'USDT', 'trader', policy);
	IF state <> 'closed' THEN
		PERFORM risk.deposit(10, 1100, 541);
		PERFORM risk.open_isolated(10, 5401, 100, 'long', 541, 11);
		CALL pg_temp.fill(10, 'buy', 2);
	END IF;
	IF state <> 'active' THEN
		UPDATE ledger.account SET status = state WHERE book_id = 541 AND account_id = 10;
	END IF;
	BEGIN
		CASE operation
			WHEN 'open' THEN CALL pg_temp.fill(10, 'buy', 1);
			WHEN 'open, LATE' THEN CALL pg_temp.fill(10, 'buy', 1, '1 hour');
			WHEN 'flip' THEN CALL pg_temp.fill(10, 'sell', 3);
			WHEN 'open on the child' THEN CALL pg_temp.fill(CASE state WHEN 'closed' THEN 10 ELSE 11 END, 'buy', 1);
			WHEN 'reduce' THEN CALL pg_temp.fill(10, 'sell', 1);
			WHEN 'reduce, LATE' THEN CALL pg_temp.fill(10, 'sell', 1, '1 hour');
			WHEN 'liquidation' THEN CALL pg_temp.fill(10, 'sell', 2, kind => 'liquidation');
			WHEN 'deposit' THEN PERFORM risk.deposit(10, 10, 541);
			WHEN 'transfer in' THEN INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (541, 2, 10, 10);
			WHEN 'journal in' THEN INSERT INTO ledger.journal (book_id, accounts, amounts) VALUES (541, '{2,10}', '{-10,10}');
			WHEN 'child gives back' THEN
				INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (541, CASE state WHEN 'closed' THEN 2 ELSE 11 END, 10, 10);
			WHEN 'withdrawal' THEN PERFORM risk.withdraw(10, 10, 541);
			WHEN 'transfer out' THEN INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (541, 10, 2, 10);
			WHEN 'journal out' THEN INSERT INTO ledger.journal (book_id, accounts, amounts) VALUES (541, '{10,2}', '{-10,10}');
			WHEN 'margin out' THEN
				INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (541, 10, CASE state WHEN 'closed' THEN 2 ELSE 11 END, 10);
			WHEN 'hold' THEN PERFORM risk.hold(10, 10, 'because', book_id => 541);
			WHEN 'chargeback' THEN
				INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
				VALUES (541, 10, risk.system_account(541, 'external', 'USDT'), 10, 'chargeback');
		END CASE;
		result := CASE WHEN EXISTS (SELECT FROM ledger.event e WHERE e.book_id = 541 AND e.account_id = 10 AND e.kind = 'late_fill')
					   THEN 'event' ELSE 'yes' END;
	EXCEPTION WHEN OTHERS THEN
		-- not by chance
		result := CASE SQLSTATE WHEN '55000' THEN '-' ELSE SQLSTATE || ' ' || SQLERRM END;
	END;
	RAISE EXCEPTION '%', result USING ERRCODE = 'P5400';
EXCEPTION WHEN SQLSTATE 'P5400' THEN
	RETURN SQLERRM;
END
$$;
CREATE FUNCTION pg_temp.matrix(operations text[], policy text DEFAULT 'default')
RETURNS TABLE (operation text, active text, reduce_only text, liquidating text, frozen text, closing text, closed text)
LANGUAGE sql AS $$
	SELECT o, pg_temp.attempt('active', o, policy), pg_temp.attempt('reduce_only', o, policy), pg_temp.attempt('liquidating', o, policy),
		   pg_temp.attempt('frozen', o, policy), pg_temp.attempt('closing', o, policy), pg_temp.attempt('closed', o, policy)
	  FROM unnest(operations) WITH ORDINALITY AS u(o, place) ORDER BY place
$$;
SELECT * FROM pg_temp.matrix(ARRAY['open', 'open, LATE', 'flip', 'open on the child', 'reduce', 'reduce, LATE', 'liquidation',
								   'deposit', 'transfer in', 'journal in', 'child gives back',
								   'withdrawal', 'transfer out', 'journal out', 'margin out', 'hold', 'chargeback']);
-- late_fill refuse, frozen_reduces false
SELECT * FROM pg_temp.matrix(ARRAY['open', 'open, LATE', 'reduce', 'reduce, LATE', 'liquidation'], '541 strict');

-- 2. What is said, and the event of a late fill

INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (541, 3, 'USDT', 'carol', 'default'), (541, 4, 'USDT', 'dave', '541 strict');
SELECT risk.deposit(3, 1000, 541) > 0 AS carol, risk.deposit(4, 1000, 541) > 0 AS dave;
CALL pg_temp.fill(3, 'buy', 2);
CALL pg_temp.fill(4, 'buy', 2);
SELECT count(*) AS trades FROM ledger.trade WHERE book_id = 541 \gset
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 54101;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 54101;
\set VERBOSITY default
UPDATE ledger.account SET status = 'liquidating' WHERE book_id = 541 AND account_id IN (3, 4);
CALL pg_temp.fill(3, 'buy', 1);
CALL pg_temp.fill(4, 'buy', 1, '1 hour');
SELECT risk.withdraw(3, 1, 541);
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 541 AND account_id = 4;
CALL pg_temp.fill(4, 'sell', 1);
CALL pg_temp.fill(4, 'buy', 1);
UPDATE ledger.account SET status = 'closing' WHERE book_id = 541 AND account_id = 3;
SELECT risk.deposit(3, 1, 541);
SELECT place, result FROM risk.post_batch(541, ARRAY[2, 4]::bigint[], ARRAY[3, 2]::bigint[], ARRAY[1, 1.0], mode => 'each') ORDER BY place;
\set VERBOSITY terse
-- an execution that is refused leaves nothing, neither side of it
SELECT count(*) - :trades AS booked FROM ledger.trade WHERE book_id = 541;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 54111;
CALL pg_temp.fill(3, 'buy', 1, '1 hour');
SELECT account_id, payload - 'executed_at' - 'inactive_since' AS payload, (payload->>'executed_at')::timestamptz < (payload->>'inactive_since')::timestamptz AS late
  FROM ledger.event WHERE book_id = 541 AND kind = 'late_fill';
SELECT qty FROM ledger.position WHERE book_id = 541 AND account_id = 3;

-- 3. Late is what was executed before the account ceased to be active, not before
-- its state of the moment: from reduce_only to frozen nothing becomes late

UPDATE ledger.account SET status = 'active' WHERE book_id = 541 AND account_id = 3;
SELECT inactive_since FROM ledger.account WHERE book_id = 541 AND account_id = 3;
UPDATE ledger.account SET status = 'reduce_only' WHERE book_id = 541 AND account_id = 3;
SELECT inactive_since AS since FROM ledger.account WHERE book_id = 541 AND account_id = 3 \gset
SELECT pg_sleep(0.05);
SELECT clock_timestamp() AS between_states \gset
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 541 AND account_id = 3;
SELECT inactive_since = :'since' AS kept FROM ledger.account WHERE book_id = 541 AND account_id = 3;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, executed_at)
VALUES (541, 3, 5401, 'buy', 1, 100, 54999, :'between_states'), (541, 1, 5401, 'sell', 1, 100, 54999, :'between_states');
UPDATE ledger.account SET status = 'active' WHERE book_id = 541 AND account_id IN (3, 4);

-- 4. Closed when nothing is left

UPDATE ledger.account SET status = 'closing' WHERE book_id = 541 AND account_id IN (3, 4);
SELECT risk.close_accounts(541);
CALL pg_temp.fill(3, 'sell', 3);
SELECT risk.what_is_left(541, 3);
SELECT risk.withdraw(3, 1000, 541) > 0 AS withdrawn;
SELECT risk.what_is_left(541, 3);
SELECT risk.close_accounts(541);
SELECT account_id, status FROM ledger.account WHERE book_id = 541 AND account_id IN (3, 4) ORDER BY 1;
-- a child first
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id) VALUES (541, 5, 'USDT', 'erin');
SELECT risk.deposit(5, 100, 541) > 0 AS erin, risk.open_isolated(5, 5401, 100, book_id => 541, child_id => 6) AS child;
UPDATE ledger.account SET status = 'closing' WHERE book_id = 541 AND account_id IN (5, 6);
SELECT risk.close_accounts(541), risk.what_is_left(541, 5);
SELECT risk.remove_margin(6, 100, 541) > 0 AS given_back, risk.withdraw(5, 100, 541) > 0 AS withdrawn;
SELECT risk.close_accounts(541);

-- 5. A closing account that owes takes what pays the debt, and the rest of it

INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code) VALUES (541, 7, 'USDT', 'frank', '541 debt');
SELECT risk.deposit(7, 10, 541) > 0 AS frank;
CALL pg_temp.fill(7, 'buy', 1);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id, kind)
VALUES (541, 7, 5401, 'sell', 1, 60, 54998, 'liquidation'), (541, 1, 5401, 'buy', 1, 60, 54998, 'trade');
SELECT d.principal, a.status FROM ledger.debt d JOIN ledger.account a USING (book_id, account_id) WHERE d.book_id = 541;
SELECT debt_id FROM ledger.debt WHERE book_id = 541 \gset
SELECT count(*) AS instalments FROM risk.plan_instalments(:debt_id, 2, '2100-01-01', '1 year', 541);
UPDATE ledger.account SET status = 'closing' WHERE book_id = 541 AND account_id = 7;
SELECT risk.close_accounts(541), risk.what_is_left(541, 7);
SELECT risk.deposit(7, 50, 541) > 0 AS paid;
SELECT outstanding FROM ledger.open_debt WHERE book_id = 541;
SELECT amount FROM ledger.balance WHERE book_id = 541 AND account_id = 7;
SELECT risk.deposit(7, 1, 541);
SELECT risk.withdraw(7, 20, 541) > 0 AS withdrawn;
SELECT risk.close_accounts(541);

SELECT * FROM risk.verify(541) WHERE violations > 0;
