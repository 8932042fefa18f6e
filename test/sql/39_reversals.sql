-- Reversals: what was posted is taken back by its exact mirror, once.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(139, 'reversals');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
VALUES (139, 1, 'USDT', 'alice', 'electra'), (139, 2, 'USDT', 'bob', 'electra'), (139, 3, 'BTC', 'alice', 'electra'),
	   (139, 4, 'BTC', 'bob', 'electra'), (139, 5, 'USDT', 'carol', 'strict'), (139, 9, 'USDT', 'closed', 'electra');
SELECT risk.system_account(139, 'external', 'USDT') AS external, risk.system_account(139, 'insurance_fund', 'USDT') AS fund \gset
SELECT risk.deposit(1, 1000, 139), risk.deposit(4, 2, 139), risk.deposit(:fund, 500, 139) \gset
ALTER TABLE ledger.reversal ALTER reversal_id RESTART WITH 39001;
CREATE TEMP VIEW holding AS
SELECT coalesce(a.owner_id, a.kind) AS party, a.asset_code, sum(b.amount) AS balance
  FROM ledger.account a JOIN ledger.balance b USING (book_id, account_id)
 WHERE a.book_id = 139 GROUP BY a.book_id, a.account_id HAVING sum(b.amount) <> 0 ORDER BY a.account_id;

-- 1. A journal and a transfer

SELECT journal_id AS exchange FROM risk.post(139, '{1,2,4,3,1}', '{-500,499,-0.01,0.01,1}') \gset
SELECT * FROM holding;
SELECT risk.reverse_journal(:exchange, 'wrong rate', 139);
SELECT * FROM holding;
SELECT account_id, amount, balance_after, kind, cause FROM ledger.entry
 WHERE book_id = 139 AND account_id > 0 AND kind = 'reversal' ORDER BY account_id, seq;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (139, 1, 2, 300) RETURNING transfer_id AS gift \gset
SELECT risk.reverse_transfer(:gift, 'to the wrong account', 139);
SELECT * FROM holding;
SELECT reversal_id, original_kind, reason FROM ledger.reversal WHERE book_id = 139 ORDER BY reversal_id;

-- 2. Once, and only what is there

\set VERBOSITY sqlstate
SELECT risk.reverse_journal(:exchange, 'again', 139);
SELECT risk.reverse_transfer(:gift, 'again', 139);
SELECT risk.reverse_transfer(:gift, 'another book', 1);
SELECT risk.reverse_journal(999999999, 'unknown', 139);
INSERT INTO ledger.reversal (book_id, original_kind, original_id, reason) VALUES (139, 'reversal', 39001, 'of a reversal');
UPDATE ledger.reversal SET reason = 'better' WHERE book_id = 139;
DELETE FROM ledger.reversal WHERE book_id = 139;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (139, 1, 2, 10) RETURNING transfer_id AS small \gset
SELECT risk.reverse_transfer(:small, '', 139) IS NULL AS reversed \gset
\set VERBOSITY default
-- the second of two rows is unknown: nothing is posted
ALTER TABLE ledger.reversal ALTER reversal_id RESTART WITH 39101;
INSERT INTO ledger.reversal (book_id, original_kind, original_id, reason)
VALUES (139, 'transfer', :small, 'one'), (139, 'transfer', 999999999, 'two');
SELECT * FROM holding WHERE party = 'bob';

-- 3. The money is gone: bob is reset, and the insurance fund does not pay for it

SELECT risk.withdraw(2, 10, 139) > 0 AS withdrawn;
SELECT risk.reverse_transfer(:small, 'a mistake', 139) > 0 AS reversed;
SELECT cause_kind, stage, amount FROM ledger.reset WHERE book_id = 139;
SELECT * FROM holding;
-- under a policy that lets nobody else pay it is refused
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (139, 1, 5, 20) RETURNING transfer_id AS strict \gset
SELECT risk.withdraw(5, 15, 139) > 0 AS withdrawn;
\set VERBOSITY sqlstate
SELECT risk.reverse_transfer(:strict, 'too late', 139);
\set VERBOSITY default

-- 4. The fund gives back what is in it; a closed account nothing

INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (139, 1, :fund, 50) RETURNING transfer_id AS paid \gset
SELECT risk.reverse_transfer(:paid, 'not due', 139) > 0 AS reversed;
SELECT * FROM holding WHERE party IN ('alice', 'insurance_fund');
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (139, 1, 9, 5) RETURNING transfer_id AS late \gset
SELECT risk.withdraw(9, 5, 139) > 0 AS withdrawn;
UPDATE ledger.account SET status = 'closed' WHERE book_id = 139 AND account_id = 9;
\set VERBOSITY sqlstate
SELECT risk.reverse_transfer(:late, 'closed', 139);
\set VERBOSITY default
-- a frozen account gets and gives: it is a fact
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 139 AND account_id = 5;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (139, 1, 5, 20) RETURNING transfer_id AS frozen \gset
SELECT risk.reverse_transfer(:frozen, 'frozen', 139) > 0 AS reversed;

SELECT * FROM risk.verify() WHERE violations > 0;
