-- Strict: nobody pays for another; what the account cannot cover is refused.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 66801;
\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all

-- Alice is long 10 from 100 with 100, and short 5 of another instrument, with a
-- profit of 30.
CALL pg_temp.venue(668, 'strict', 1000);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (6689, 'another of 668', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (6689, 100);
CALL pg_temp.deposit(668, 1, 100);
CALL pg_temp.fill(668, 1, 8, 10, 100);
CALL pg_temp.fill(668, 8, 1, 5, 100, 6689);
UPDATE ledger.mark_price SET price = 94 WHERE instrument_id = 6689;
CALL pg_temp.mark(668, 86);

-- 1. Sold at 86 she has lost 140 and has 100: 30 come out of her own profit, the
-- last 10 from nobody.  Nothing is booked, on either side, and the fund is as it was.

CALL pg_temp.remember(668);
\set VERBOSITY terse
CALL pg_temp.fill(668, 8, 1, 10, 86);
\set VERBOSITY default
SELECT * FROM change;
SELECT * FROM held WHERE book_id = 668 AND party = 'alice';

-- 2. The sweep says so, and goes on with the others

SELECT p.party, s.result, regexp_replace(s.detail, 'account \d+', 'account N') AS detail
  FROM risk.sweep(6680) s JOIN party p USING (book_id, account_id) WHERE s.book_id = 668;

-- 3. With 10 more it goes through: the deficit of 30 is settled out of her
-- profit, exactly, and nobody else pays

CALL pg_temp.deposit(668, 1, 10);
CALL pg_temp.remember(668);
CALL pg_temp.fill(668, 8, 1, 10, 86);
SELECT balance, trim_scale(equity) AS equity FROM wealth WHERE book_id = 668 AND party = 'alice';
SELECT * FROM change;
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 668;
SELECT * FROM risk.verify(668) WHERE violations > 0;
