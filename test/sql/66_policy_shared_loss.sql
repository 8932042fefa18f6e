-- Socialised loss: what the fund cannot pay is shared by those who have gained.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 66601;
\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all

-- Alice is long 100 from 100 with 1,000, carol short 60 from 100, dave short 40
-- and long 10 from 95.  At 85 alice is at -500; the fund has 200.
CALL pg_temp.venue(666, 'shared_loss', 200);
CALL pg_temp.deposit(666, 1, 1000);
CALL pg_temp.deposit(666, 3, 1000);
CALL pg_temp.deposit(666, 4, 1000);
CALL pg_temp.fill(666, 1, 3, 60, 100);
CALL pg_temp.fill(666, 1, 4, 40, 100);
CALL pg_temp.fill(666, 4, 8, 10, 95);
CALL pg_temp.mark(666, 85);

-- 1. In the commit the fund pays 200, and 300 stand on suspense

CALL pg_temp.remember(666);
SELECT s.result FROM risk.sweep(6660) s WHERE s.book_id = 666;
SELECT r.stage, r.amount FROM ledger.reset r WHERE r.book_id = 666 ORDER BY r.reset_id;
SELECT * FROM change;
SELECT * FROM suspended WHERE book_id = 666;

-- 2. Carol has gained 60 * 15 = 900; dave has realised 10 * 5 = 50 and has 30 *
-- 15 = 450 open: 500; the maker is short 10 from 95: 100.  300 of 1,500: a fifth
-- of what each has gained.

SELECT p.party, c.claim FROM risk.loss_claims(666, (SELECT shortfall_id FROM ledger.open_shortfall WHERE book_id = 666)) c
  JOIN party p ON p.book_id = 666 AND p.account_id = c.account_id ORDER BY 1;
CALL pg_temp.remember(666);
SELECT * FROM pg_temp.settle(666);
SELECT * FROM change;
SELECT p.party, y.stage, y.amount, y.claim FROM ledger.shortfall_payment y JOIN party p USING (book_id, account_id) WHERE y.book_id = 666 ORDER BY y.payment_id;
SELECT * FROM suspended WHERE book_id = 666;

-- 3. A loss greater than all claims: everybody gives what he has gained, and the
-- house the rest, with an event.  At 50 erin, long 100 from 100 with 1,000, is at
-- -4,000 and the fund has 1; frank has gained 10 * 50.  The other side of the rest
-- is an account of erin's own, which is not asked.

CALL pg_temp.venue(667, 'shared_loss', 1);
UPDATE ledger.account SET owner_id = 'erin' WHERE book_id = 667 AND account_id = 8;
CALL pg_temp.deposit(667, 5, 1000);
CALL pg_temp.deposit(667, 6, 1000);
CALL pg_temp.fill(667, 5, 6, 10, 100);
CALL pg_temp.fill(667, 5, 8, 90, 100);
CALL pg_temp.mark(667, 50);
CALL pg_temp.remember(667);
SELECT s.result FROM risk.sweep(6670) s WHERE s.book_id = 667 AND s.account_id = 5;
SELECT r.stage, r.amount FROM ledger.reset r WHERE r.book_id = 667 AND r.account_id = 5 ORDER BY r.reset_id;
SELECT * FROM pg_temp.settle(667);
SELECT * FROM change;
SELECT kind, payload ->> 'stage' AS stage, payload ->> 'amount' AS amount FROM ledger.event
 WHERE book_id = 667 AND kind IN ('loss_share', 'shortfall_payment') ORDER BY event_id;
SELECT * FROM risk.verify(666) WHERE violations > 0;
SELECT * FROM risk.verify(667) WHERE violations > 0;
