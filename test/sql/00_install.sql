-- Two commands, and neither has anything to say.
CREATE EXTENSION risk_ext;
SELECT risk.install();
-- A second time changes nothing.
SELECT risk.install();
SELECT book_id FROM ledger.book ORDER BY book_id;
SELECT * FROM risk.verify() WHERE violations > 0;
