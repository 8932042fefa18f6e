-- Who is deleveraged first, and who bears how much of a loss.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- bitmex: a long of 10 from 100 at 120 with 600 left to lose: 0.2 * (1200 / 600)
SELECT risk.adl_rank_bitmex(1200, 1000, 600);
-- a short of 10 from 100 at 80: 0.2 * (800 / 400)
SELECT risk.adl_rank_bitmex(-800, -1000, -1200);
-- a loss is divided: long 10 from 100 at 90, 300 left: -0.1 / (900 / 300)
SELECT risk.adl_rank_bitmex(900, 1000, 600);
-- one fraction, rounded once: 1/3 * (4 / 7) = 4/21 = 0.190476...
SELECT risk.adl_rank_bitmex(4, 3, -3);
-- half away from zero, either way
SELECT risk.adl_rank_bitmex(1 + 5e-19, 1, 5e-19), risk.adl_rank_bitmex(-1, -1 + 5e-19, -2);
-- nothing left to lose, or nothing paid: no score
SELECT risk.adl_rank_bitmex(1200, 1000, 1200), risk.adl_rank_bitmex(1200, 0, 600), risk.adl_rank_bitmex(NULL, 1, 1);

-- coinex: 200 on 1,000 is 20 percent, times 5; a short; a loss
SELECT risk.adl_rank_coinex(200, 1000, 5), risk.adl_rank_coinex(200, -1000, 5), risk.adl_rank_coinex(-50, 1000, 5);
SELECT risk.adl_rank_coinex(1, 0, 5);
SELECT risk.adl_rank_coinex(1, 1, 0);

-- pnl_equity: 200 of 800
SELECT risk.adl_rank_pnl_equity(200, 800), risk.adl_rank_pnl_equity(-1, 3), risk.adl_rank_pnl_equity(200, 0);
SELECT risk.adl_rank_pnl_equity('NaN', 800);

-- Loss shares: 30 of claims of 60, 30, 10: 0.3 of each
SELECT risk.loss_shares('{60,30,10}', 30, 2);
-- 10 of claims of 1, 1, 1, 1, 1, 1, 1: all of them, 7
SELECT risk.loss_shares('{1,1,1,1,1,1,1}', 10, 2);
-- 1.00 of three alike: 0.33 each, and the unit that is left goes to the first
SELECT risk.loss_shares('{5,5,5}', 1, 2);
-- largest remainder before place: 1.00 * 1/6 = 0.16 2/3, 2/6 = 0.33 1/3, 3/6 = 0.50: the first
SELECT risk.loss_shares('{1,2,3}', 1, 2);
-- 0.05 * 1/4 = 0.01 1/4, 3/4 = 0.03 3/4: the second
SELECT risk.loss_shares('{1,3}', 0.05, 2);
-- a claim has the digits of the asset, too: 0.019 is 0.01
SELECT risk.loss_shares('{0.019,0.5}', 100, 2);
SELECT risk.loss_shares('{0,0}', 5, 2), risk.loss_shares('{}', 5, 2), risk.loss_shares('{1,2}', 0, 2);
SELECT risk.loss_shares('{1,2}', 0.001, 2);
SELECT risk.loss_shares('{1,NULL}', 1, 2);
SELECT risk.loss_shares('{1,-2}', 1, 2);
SELECT risk.loss_shares('{{1,2},{3,4}}', 1, 2);

-- By weight: 100 over 1, 3 and 6 contracts: 10, 30, 60
SELECT risk.loss_shares('{1,3,6}', '{1000,1000,1000}', 100, 2);
-- the last can bear 40: the other 60 are shared 1 to 3: 15, 45
SELECT risk.loss_shares('{1,3,6}', '{1000,1000,40}', 100, 2);
-- and the second 30, which the 45 reach: what is left, 30, is the first's
SELECT risk.loss_shares('{1,3,6}', '{1000,30,40}', 100, 2);
-- 20 is what the first can bear: 10 are nobody's
SELECT risk.loss_shares('{1,3,6}', '{20,30,40}', 100, 2);
SELECT risk.loss_shares('{1,3}', '{1}', 100, 2);

-- whatever the numbers: the sum is the loss or all claims, nobody bears more
-- than the claim, and nobody is a unit or more away from the exact share
SELECT count(*) AS wrong
  FROM (SELECT n, CASE WHEN n % 3 = 0 THEN n % 700 ELSE (n * 7919 % 100000) / 100.0 END AS loss,
			   ARRAY(SELECT round((n * k * 104729 % 99991) / 1000.0, 2) FROM generate_series(1, n % 7 + 1) AS k) AS claims
		  FROM generate_series(1, 2000) AS n) t,
	   LATERAL (SELECT risk.loss_shares(claims, loss, 2) AS shares) s,
	   LATERAL (SELECT sum(c) AS claimed, sum(x) AS borne,
					   bool_and(x <= c AND x >= 0 AND abs(x - c * least(1, loss / total)) < 0.01) AS fair
				  FROM unnest(claims, shares) AS u(c, x), (SELECT sum(c) AS total FROM unnest(claims) AS c) w) r
 WHERE r.borne <> least(loss, r.claimed) OR NOT r.fair;

-- The queue: seven shorts of one contract against a maker, at 90
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5501, 'queue of 55', 'USDT');
INSERT INTO ledger.margin_tier VALUES (5501, 0, 0.05, 10);
INSERT INTO ledger.policy (policy_code, stages, adl_formula)
VALUES ('ranked by coinex', '{own,fund,house}', 'coinex'), ('ranked by equity', '{own,fund,house}', 'pnl_equity');
SELECT risk.create_book(551, 'queue');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
SELECT 551, n, 'USDT', 'owner ' || n FROM generate_series(1, 8) AS n;
-- short from 100, 200, 100, 80, 100, 100, 125 with 30, 30, 60, 30, 30, 15, 100
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT 551, risk.system_account(551, 'external', 'USDT'), n, amount, 'deposit'
  FROM unnest(ARRAY[30, 30, 60, 30, 30, 15, 100, 10000]) WITH ORDINALITY AS u(amount, n);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
SELECT 551, l.account, 5501, l.side, 1, u.price, 551000 + n
  FROM unnest(ARRAY[100, 200, 100, 80, 100, 100, 125]) WITH ORDINALITY AS u(price, n),
	   LATERAL (VALUES (n, 'sell'), (8, 'buy')) AS l(account, side);
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5501, 90);
-- 1: ret 0.1, left 40, lev 2.25: 0.225, and 5 is its equal; 2: 0.55 * 90 / 140 = 0.353571...
-- 3: 0.1 * 90 / 70 = 0.128571...; 4: -0.125 / (90 / 20) = -0.027777...; 6: 0.1 * 90 / 25 = 0.36
-- 7: 0.28 * 90 / 135 = 0.186666...
SELECT account_id, side, trim_scale(score) AS score, rank, positions, lights
  FROM ledger.adl_queue WHERE book_id = 551 AND instrument_id = 5501 ORDER BY side, rank;
-- by the formula of each: 2 at 10x 550 percent, 1 at 10x 100, and 7 by 35 of 135
UPDATE ledger.account SET policy_code = 'ranked by coinex' WHERE book_id = 551 AND account_id IN (1, 2);
UPDATE ledger.account SET policy_code = 'ranked by equity' WHERE book_id = 551 AND account_id = 7;
SELECT account_id, formula, trim_scale(score) AS score, rank, lights
  FROM ledger.adl_queue WHERE book_id = 551 AND instrument_id = 5501 AND side = 'short' ORDER BY rank, account_id;
