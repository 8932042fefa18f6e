-- A fund is not drained with two keys: one loses on purpose, the fund pays, and
-- the other wants to carry the gain away.  Every figure was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(5920, 'gainers');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
VALUES (5920, 'instrument of 5920', 'USDT'), (5921, 'another of 5920', 'USDT'), (5922, 'third of 5920', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5920, 100), (5921, 100), (5922, 100);
INSERT INTO ledger.policy (policy_code, stages, gainer_hold_window, gainer_hold_duration)
VALUES ('watched', '{own,fund,house}', '1 hour', '1 day');
-- mallory and oscar act together; erin trades the instrument, frank does not
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (5920, 1, 'USDT', 'mallory', 'watched'), (5920, 2, 'USDT', 'oscar', 'watched'), (5920, 3, 'USDT', 'erin', 'watched'),
	   (5920, 4, 'USDT', 'frank', 'watched'), (5920, 5, 'USDT', 'gina', 'watched');
SELECT FROM risk.deposit(1, 100, 5920);
SELECT FROM risk.deposit(2, 1000, 5920);
SELECT FROM risk.deposit(3, 1000, 5920);
SELECT FROM risk.deposit(4, 1000, 5920);
SELECT FROM risk.deposit(5, 1000, 5920);
\set fund 'risk.system_account(5920, ''insurance_fund'', ''USDT'')'
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (5920, risk.system_account(5920, 'external', 'USDT'), :fund, 500, 'deposit');
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN format(E'%s: %s\n%s\n%s', SQLSTATE, regexp_replace(SQLERRM, '(transfer|hold|hold_release) \d+', '\1 N', 'g'), regexp_replace(regexp_replace(detail, 'shortfall \d+', 'shortfall N'), '\d{4}-.*[^.]', 'TIME'), hint);
END
$$;
CREATE TEMP VIEW held AS
SELECT a.owner_id, g.gain, g.paid, h.amount, o.remaining, regexp_replace(h.purpose, 'shortfall \d+', 'shortfall N') AS purpose, h.expires_at - h.posted_at > '23:59:00' AS a_day, g.covered_at
  FROM ledger.gainer_hold g JOIN ledger.account a USING (book_id, account_id) JOIN ledger.hold h USING (book_id, hold_id)
  LEFT JOIN ledger.open_hold o USING (book_id, hold_id)
 WHERE g.book_id = 5920 ORDER BY g.hold_id;
\pset format unaligned

-- erin and gina trade a little: erin gains 30, gina loses it.
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59201, 3, 5920, 'buy', 3, 100), (5920, 59201, 5, 5920, 'sell', 3, 100),
	   (5920, 59202, 3, 5920, 'sell', 3, 110), (5920, 59202, 5, 5920, 'buy', 3, 110);
-- The attack: a long of 10 from 100, sold to the other key at 80.  Mallory
-- loses 200 and has 100; the fund pays 100; oscar has gained 200.
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59203, 1, 5920, 'buy', 10, 100), (5920, 59203, 2, 5920, 'sell', 10, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59204, 1, 5920, 'sell', 10, 80), (5920, 59204, 2, 5920, 'buy', 10, 80);
SELECT kind, amount, balance FROM ledger.fund_history WHERE book_id = 5920 ORDER BY posted_at, slot, seq;

-- Oscar is quick, and nobody has looked at his gain: not a unit leaves, neither
-- by a withdrawal, nor to an account of a friend, nor by a hold to be captured later.
SELECT pg_temp.try('SELECT risk.withdraw(2, 1, 5920)');
SELECT pg_temp.try('INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (5920, 2, 4, 1)');
SELECT pg_temp.try('SELECT risk.request_withdrawal(2, 1, book_id => 5920)');
SELECT place, result FROM risk.post_batch(5920, ARRAY[2, 4], ARRAY[4, 5], ARRAY[1.0, 1.0], mode => 'each');
-- Who does not trade the instrument is not concerned; who does waits, too.
SELECT pg_temp.try('SELECT risk.withdraw(4, 1, 5920)');
SELECT pg_temp.try('SELECT risk.withdraw(3, 1, 5920)');

-- It is decided: oscar gained most, 200, which covers what was paid, so he
-- alone is held, for the 100.  The 1,100 that are left he may have.
SELECT risk.hold_gainers();
SELECT risk.hold_gainers() AS nothing_new;
SELECT * FROM held;
SELECT pg_temp.try('SELECT risk.withdraw(2, 1100.01, 5920)');
SELECT pg_temp.try('SELECT risk.withdraw(2, 1100, 5920)');
SELECT pg_temp.try('SELECT risk.withdraw(3, 1, 5920)');
-- Nor can the hold be captured or released as others can.
SELECT hold_id FROM ledger.gainer_hold WHERE book_id = 5920 \gset
SELECT pg_temp.try(format('SELECT risk.capture(%s, book_id => 5920)', :hold_id));
SELECT pg_temp.try(format('SELECT risk.release(%s, book_id => 5920)', :hold_id));
SELECT pg_temp.try(format('INSERT INTO ledger.gainer_hold VALUES (5920, %s, 2, 1, -1, 1, 5, 5, 5)', :hold_id));
SELECT account_id, payload ->> 'amount' AS amount, payload -> 'steps' AS steps FROM ledger.event WHERE book_id = 5920 AND kind = 'gainer_hold';
SELECT * FROM risk.verify(5920) WHERE violations > 0;

-- The fund has again the 500 that it had before: the hold ends.
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (5920, risk.system_account(5920, 'external', 'USDT'), :fund, 99.99, 'deposit');
SELECT risk.hold_gainers();
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (5920, risk.system_account(5920, 'external', 'USDT'), :fund, 0.01, 'deposit');
SELECT risk.hold_gainers();
SELECT remaining FROM held;
SELECT pg_temp.try('SELECT risk.withdraw(2, 100, 5920)');

-- A gain that is not realised is held, too: mallory comes back with 100 and a
-- second account, buys 10 at 110 from the second and sells them to gina at 90:
-- 200 lost, 100 paid.  The second account, short from 110, has 100 of profit at
-- the mark of 100, and a balance of 1: it is held for 100 all the same.  That
-- covers what was paid, so gina, who has gained 70 by now, is not held.
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code) VALUES (5920, 6, 'USDT', 'mallory', 'watched');
SELECT FROM risk.deposit(1, 100, 5920);
SELECT FROM risk.deposit(6, 1, 5920);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59205, 1, 5920, 'buy', 10, 110), (5920, 59205, 6, 5920, 'sell', 10, 110);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59206, 1, 5920, 'sell', 10, 90), (5920, 59206, 5, 5920, 'buy', 10, 90);
SELECT risk.hold_gainers();
SELECT owner_id, gain, paid, amount, remaining, covered_at FROM held WHERE remaining IS NOT NULL;
-- It closes its position, to gina, and has the money now: 1 may go, 100 may not.
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59207, 6, 5920, 'buy', 10, 100), (5920, 59207, 5, 5920, 'sell', 10, 100);
SELECT pg_temp.try('SELECT risk.withdraw(6, 1.01, 5920)');
SELECT pg_temp.try('SELECT risk.withdraw(6, 1, 5920)');
-- The desk is satisfied with an explanation.
SELECT hold_id FROM ledger.open_hold WHERE book_id = 5920 \gset
SELECT pg_temp.try(format('SELECT risk.release_gainer(%s, '''', 5920)', :hold_id));
SELECT risk.release_gainer(:hold_id, 'explained', 5920) > 0 AS released;
SELECT pg_temp.try('SELECT risk.withdraw(6, 100, 5920)');

-- A loss in one instrument holds nobody who trades another.
SELECT FROM risk.deposit(1, 100, 5920);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59208, 1, 5921, 'buy', 10, 100), (5920, 59208, 4, 5921, 'sell', 10, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59209, 1, 5921, 'sell', 10, 85), (5920, 59209, 4, 5921, 'buy', 10, 85);
SELECT pg_temp.try('SELECT risk.withdraw(3, 1, 5920)');
SELECT pg_temp.try('SELECT risk.withdraw(4, 1, 5920)');
SELECT risk.hold_gainers();
SELECT owner_id, gain, paid, amount FROM held WHERE remaining IS NOT NULL;
-- Two have gained.  Mallory buys 4 from ann and 6 from bob at 100 and sells them
-- back at 70: 300 lost, 100 of it his, 200 paid.  Bob's 180 are held, and 20 of
-- ann's 120, which makes 200.
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (5920, 7, 'USDT', 'ann', 'watched'), (5920, 8, 'USDT', 'bob', 'watched');
SELECT FROM risk.deposit(1, 100, 5920);
SELECT FROM risk.deposit(7, 1000, 5920);
SELECT FROM risk.deposit(8, 1000, 5920);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59212, 1, 5922, 'buy', 10, 100), (5920, 59212, 7, 5922, 'sell', 4, 100), (5920, 59212, 8, 5922, 'sell', 6, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59213, 1, 5922, 'sell', 10, 70), (5920, 59213, 7, 5922, 'buy', 4, 70), (5920, 59213, 8, 5922, 'buy', 6, 70);
SELECT risk.hold_gainers();
SELECT owner_id, gain, paid, amount FROM held WHERE remaining IS NOT NULL AND owner_id IN ('ann', 'bob') ORDER BY owner_id;
-- He does it again, with ann alone, at 80: 200 lost, 100 paid.  Of ann's 320, 20
-- are held already and all of bob's 180, so it is she who is held for the 100.
SELECT FROM risk.deposit(1, 100, 5920);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59214, 1, 5922, 'buy', 10, 100), (5920, 59214, 7, 5922, 'sell', 10, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59215, 1, 5922, 'sell', 10, 80), (5920, 59215, 7, 5922, 'buy', 10, 80);
SELECT risk.hold_gainers();
SELECT owner_id, gain, paid, amount FROM held WHERE remaining IS NOT NULL AND owner_id IN ('ann', 'bob') ORDER BY owner_id, gain;

-- A loss that no policy watches holds nobody.
UPDATE ledger.account SET policy_code = 'electra' WHERE book_id = 5920 AND account_id = 1;
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5920, 59210, 1, 5920, 'buy', 1, 100), (5920, 59210, 2, 5920, 'sell', 1, 100),
	   (5920, 59211, 1, 5920, 'sell', 1, 70), (5920, 59211, 2, 5920, 'buy', 1, 70);
SELECT pg_temp.try('SELECT risk.withdraw(2, 30, 5920)');
SELECT * FROM risk.verify(5920) WHERE violations > 0;
