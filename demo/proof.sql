-- proof.sql
--		What both demos end with: the fund, the sums, and the proof of the books.

\echo '== The insurance fund'
SELECT asset_code AS asset, :fund::numeric(30,2) AS "at the start", resets AS "resets paid for",
	   round(paid, 2) AS paid, round(balance, 2) AS "at the end"
  FROM ledger.fund_status;

\echo '== All balances, by kind of account.  Below zero: what the venue is owed'
SELECT a.asset_code AS asset, coalesce(a.kind, 'sum') AS kind,
	   count(*) FILTER (WHERE a.kind = 'trader') AS traders,
	   count(*) FILTER (WHERE a.kind = 'trader' AND b.amount < 0) AS "below zero",
	   round(min(b.amount) FILTER (WHERE a.kind = 'trader'), 2) AS lowest,
	   round(sum(b.amount), 2) AS balances
  FROM ledger.account a
  JOIN ledger.balance b USING (book_id, account_id)
 GROUP BY a.asset_code, ROLLUP (a.kind)
HAVING sum(abs(b.amount)) > 0
 ORDER BY a.asset_code, a.kind IS NULL, a.kind = 'trader' DESC, sum(b.amount) DESC;

\echo '== The proof of the books: risk.verify()'
SELECT * FROM risk.verify();
