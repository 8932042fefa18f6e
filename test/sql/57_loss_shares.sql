-- A loss that is shared: who is asked for how much, and out of what it is paid.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 57001;

\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all
CREATE FUNCTION pg_temp.claims(book int) RETURNS TABLE (party text, claim numeric, weight numeric) LANGUAGE sql AS $$
	SELECT p.party, c.claim, trim_scale(c.weight)
	  FROM (SELECT max(o.shortfall_id) AS shortfall_id FROM ledger.open_shortfall o WHERE o.book_id = book) o,
		   LATERAL risk.loss_claims(book, o.shortfall_id) c
	  JOIN party p ON p.book_id = book AND p.account_id = c.account_id ORDER BY c.account_id
$$;
-- Alice is long 100 from 100 with 220.  Short are bob 40 from 100, carol 30 from
-- 100, dave 10 from 90 and alice's second account 20 from 100.
CREATE PROCEDURE pg_temp.crowd(book int, policy text, fund numeric) LANGUAGE sql AS $$
	CALL pg_temp.venue(book, policy, fund);
	CALL pg_temp.deposit(book, 1, 220);
	CALL pg_temp.deposit(book, 2, 1000);
	CALL pg_temp.deposit(book, 3, 1000);
	CALL pg_temp.deposit(book, 4, 1000);
	CALL pg_temp.deposit(book, 7, 1000);
	CALL pg_temp.fill(book, 1, 8, 100, 100);
	CALL pg_temp.fill(book, 8, 2, 40, 100);
	CALL pg_temp.fill(book, 8, 3, 30, 100);
	CALL pg_temp.fill(book, 8, 7, 20, 100);
	CALL pg_temp.fill(book, 8, 4, 10, 90)
$$;
-- 20 of hers are sold at 85: she is 1,280 short, see 56_settle.
CREATE PROCEDURE pg_temp.gap(book int) LANGUAGE sql AS $$
	CALL pg_temp.mark(book, 85);
	CALL pg_temp.remember(book);
	CALL pg_temp.fill(book, 8, 1, 20, 85);
$$;

-- 1. The fund pays 500, the other 780 are shared

CALL pg_temp.crowd(573, 'shared_loss', 500);
-- carol closes 10 of hers at 95: 50 are realised, and 20 * 15 = 300 are not
CALL pg_temp.fill(573, 3, 8, 10, 95);
CALL pg_temp.gap(573);
SELECT * FROM suspended WHERE book_id = 573;
-- bob 40 * 15, carol 50 + 300, dave 10 * 5; the maker bought ten at 90 that he had
-- sold at 100, and ten at 85 that he had sold at 95
SELECT * FROM pg_temp.claims(573);
-- 780 of 1,200: 0.65 of each
SELECT * FROM pg_temp.settle(573);
SELECT * FROM change;
SELECT p.party, y.stage, y.amount, y.claim FROM ledger.shortfall_payment y JOIN party p USING (book_id, account_id)
 WHERE y.book_id = 573 ORDER BY y.payment_id;
SELECT p.party, e.kind, e.amount FROM ledger.entry e JOIN party p USING (book_id, account_id)
 WHERE e.book_id = 573 AND e.kind IN ('loss_share', 'settlement') ORDER BY e.account_id DESC, e.seq;

-- 2. What was paid once is not asked for again: bob has 600 - 390 left to give.
-- Erin goes the way of alice: 110 - 10 * 15 = -40.  The maker gained 15 on each of
-- the ten that he sold her; and now alice's other account is one of the payers.

CALL pg_temp.deposit(573, 5, 110);
CALL pg_temp.fill(573, 5, 8, 10, 100);
CALL pg_temp.fill(573, 8, 5, 10, 85);
SELECT * FROM suspended WHERE book_id = 573;
SELECT * FROM pg_temp.claims(573);
-- 40 of 870: 9.655, 5.632, 0.805, 13.793, 10.115 rounded down are 39.98; bob and the
-- maker have the largest remainders
SELECT * FROM pg_temp.settle(573);

-- 3. The claims, 1,200, do not suffice for 1,279.99: everybody gives all of it, and
-- the house the rest

CALL pg_temp.crowd(574, 'shared_loss', 0.01);
CALL pg_temp.gap(574);
SELECT * FROM pg_temp.claims(574);
SELECT * FROM pg_temp.settle(574);
SELECT * FROM change;
SELECT p.party, e.kind, e.payload->>'stage' AS stage, e.payload->>'amount' AS amount, e.payload->>'claim' AS claim
  FROM ledger.event e JOIN party p USING (book_id, account_id)
 WHERE e.book_id = 574 AND e.kind IN ('loss_share', 'shortfall_payment') ORDER BY e.event_id;

-- 4. Nobody goes below what he has to keep, nor below the floor.  Bob has lost
-- nearly all he had elsewhere: 10 + 40 * 15 = 610, less maintenance 34, are
-- 576 and not 600; and the balance of 10 does not suffice, so profit is settled.

CALL pg_temp.crowd(575, 'shared_loss', 0.01);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5759, 'another of 575', 'USDT');
CALL pg_temp.fill(575, 2, 8, 10, 100, 5759);
CALL pg_temp.fill(575, 8, 2, 10, 1, 5759);
CALL pg_temp.gap(575);
SELECT party, balance, equity FROM wealth WHERE book_id = 575 AND party = 'bob';
SELECT * FROM pg_temp.claims(575);
SELECT * FROM pg_temp.settle(575);
SELECT party, balance, equity FROM wealth WHERE book_id = 575 AND party = 'bob';
SELECT kind, amount, balance_after FROM ledger.entry WHERE book_id = 575 AND account_id = 2 AND kind IN ('settlement', 'loss_share') ORDER BY seq;
-- the profit that was settled is in the cost: -4000 + 566
SELECT * FROM held WHERE book_id = 575 AND party = 'bob';

-- 5. In all instruments of the asset: what bob lost in the other one counts, 990
-- against 600.  Who gained it is alice's second account.  The rest of the 1,280
-- is the venue's claim on alice.

INSERT INTO ledger.policy (policy_code, stages, share_scope) VALUES ('shared in the asset', '{own,suspense,socialise,receivable}', 'asset');
CALL pg_temp.crowd(576, 'shared in the asset', 0.01);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5769, 'another of 576', 'USDT');
CALL pg_temp.fill(576, 2, 7, 10, 100, 5769);
CALL pg_temp.fill(576, 7, 2, 10, 1, 5769);
CALL pg_temp.gap(576);
SELECT * FROM pg_temp.claims(576);
SELECT * FROM pg_temp.settle(576);

-- 6. By open interest: both sides, each contract alike.  Frank is long 10, too;
-- the liquidity account, which holds what was alice's, is not asked.

INSERT INTO ledger.policy (policy_code, stages, share_rule) VALUES ('shared by contract', '{own,suspense,socialise}', 'open_interest');
CALL pg_temp.crowd(577, 'shared by contract', 0.01);
CALL pg_temp.deposit(577, 6, 300);
CALL pg_temp.fill(577, 6, 8, 10, 86);
CALL pg_temp.gap(577);
-- the most is equity less maintenance: 1,600 - 34, 1,450 - 25.5, 1,050 - 8.5, 290 - 8.5
SELECT * FROM pg_temp.claims(577);
-- 1,280 over bob 40, carol 30, dave 10, frank 10 and the maker 10: 12.80 each
SELECT * FROM pg_temp.settle(577);
SELECT * FROM change;
-- who cannot bear that much bears less, and the others what is left
CALL pg_temp.crowd(578, 'shared by contract', 0.01);
CALL pg_temp.deposit(578, 6, 58.5);
CALL pg_temp.fill(578, 6, 8, 10, 86);
CALL pg_temp.gap(578);
-- frank has 48.50 less 8.50; 1,240 over 90 contracts: 13.777...
SELECT * FROM pg_temp.settle(578);
SELECT * FROM change;

-- 7. Nobody has gained: all of it is the house's

CALL pg_temp.venue(579, 'shared_loss', 0.01);
CALL pg_temp.deposit(579, 1, 220);
CALL pg_temp.deposit(579, 7, 1000);
CALL pg_temp.fill(579, 1, 7, 100, 100);
CALL pg_temp.gap(579);
SELECT * FROM pg_temp.claims(579);
SELECT * FROM pg_temp.settle(579);

SELECT * FROM ledger.open_shortfall WHERE book_id BETWEEN 573 AND 579;
SELECT b.book_id, v.* FROM generate_series(573, 579) AS b(book_id), LATERAL risk.verify(b.book_id) v WHERE v.violations > 0;
