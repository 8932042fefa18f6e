-- Electra: the balance is reset to zero at once, and the insurance fund pays.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
CREATE TEMP SEQUENCE execution START 66101;
\getenv abs_srcdir PG_ABS_SRCDIR
\set venue :abs_srcdir '/venue.sql'
\set ECHO none
\i :venue
\set ECHO all

-- The venue takes the maintenance margin as an amount, 500, and has 300 in its fund.
SELECT risk.change_policy('66 electra', (SELECT rules FROM risk.shipped_policies() WHERE policy_code = 'electra') || '{"maintenance_basis": "amount"}');
CALL pg_temp.venue(661, '66 electra', 300);
UPDATE ledger.margin_tier SET maintenance_rate = 0, max_leverage = 10, maintenance_amount = 500 WHERE instrument_id = 6610;
UPDATE ledger.mark_price SET price = 25000 WHERE instrument_id = 6610;
CALL pg_temp.deposit(661, 1, 1510);
CALL pg_temp.deposit(661, 2, 5000);

-- 1. Alice buys a size of 10,000 at 25,000; each side pays a fee of 10, a tenth
-- of which the fund gets: 300 + 2.  Her margin is 1,500.

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id)
VALUES (661, 1, 6610, 'buy', 0.4, 25000, 10, 66101), (661, 2, 6610, 'sell', 0.4, 25000, 10, 66101);
SELECT kind, amount, balance FROM ledger.fund_history WHERE book_id = 661 ORDER BY posted_at, slot, seq;
-- Without the fee of a liquidation 22,500.  That is 0.5 % of the size, a part of
-- what is required: 1,500 - 0.4 * (25,000 - p) = 500 + 0.005 * 0.4 * p, so
-- p = 9,000 / 0.398.
SELECT risk.liquidation_price(qty => 0.4, entry_price => 25000, balance => 1500, maintenance_amount => 500) = 22500 AS without_fee,
	   trim_scale(liquidation_price) AS liquidation_price, trim_scale(maintenance_margin) AS maintenance_margin,
	   trim_scale(liquidation_fee_rate) AS fee_rate, trim_scale(liquidation_fee) AS fee
  FROM ledger.position_risk WHERE book_id = 661 AND account_id = 1;

-- 2. The market gaps through it, to 20,000: 1,500 - 0.4 * 5,000 = -500.  The
-- liquidity account takes the position at the mark, the fund has 302 and pays
-- them, the house the rest.

CALL pg_temp.mark(661, 20000);
CALL pg_temp.remember(661);
SELECT s.result, s.detail FROM risk.sweep(6610) s WHERE s.book_id = 661;
SELECT a.owner_id, r.stage, r.amount, r.payer_before, r.payer_after, r.cause_kind, t.kind, t.qty, t.price
  FROM ledger.reset r JOIN ledger.account a USING (book_id, account_id) JOIN ledger.trade t ON t.book_id = r.book_id AND t.trade_id = r.cause
 WHERE r.book_id = 661 ORDER BY r.reset_id;
SELECT * FROM change;
-- Alice owes nothing, and trades on
SELECT w.balance, a.status FROM wealth w JOIN ledger.account a USING (book_id, account_id) WHERE w.book_id = 661 AND w.party = 'alice';
SELECT count(*) AS debts FROM ledger.debt WHERE book_id = 661;
SELECT kind, payload - '{shortfall_id,liquidation_id,fee,payer_account,cause,reset_id}'::text[] AS payload FROM ledger.event
 WHERE book_id = 661 AND account_id = 1 ORDER BY event_id;

-- 3. The fund fills again.  Bob sells 0.4 more, to carol, whose equity comes down
-- to 530 at 22,575, where 545.15 are required.  She is liquidated at the mark, the
-- fee of 45.15 is the fund's, and 484.85 stay hers.

CALL pg_temp.deposit(661, 3, 1500);
CALL pg_temp.mark(661, 25000);
CALL pg_temp.fill(661, 3, 2, 0.4, 25000);
CALL pg_temp.mark(661, 22575);
CALL pg_temp.remember(661);
SELECT s.result, s.detail FROM risk.sweep(6610) s WHERE s.book_id = 661;
SELECT l.outcome, l.equity_before, trim_scale(l.requirement_before) AS required, l.fee_owed, l.fee_to_fund, l.surplus, trim_scale(s.price) AS price, trim_scale(s.bankruptcy_price) AS bankruptcy_price
  FROM ledger.liquidation l JOIN ledger.liquidation_step s USING (book_id, liquidation_id) JOIN ledger.account a USING (book_id, account_id)
 WHERE book_id = 661 AND a.owner_id = 'carol';
SELECT * FROM change;
SELECT * FROM risk.verify(661) WHERE violations > 0;
