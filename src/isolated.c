/*
 * isolated.c
 *		Margin that trades move between a child account and its parent.
 *
 * An isolated position is the only one of an account of its own.  A trade that
 * opens brings its initial margin and its fee from the parent, as far as the
 * parent can spare them; one that closes gives back the same share of the
 * child's balance as it closes of the position, as far as the child can spare
 * it.  What is missing on the child is never the parent's: a child below its
 * floor gets no margin, and is settled when the transaction commits.
 *
 * Both balances are locked.  Requirements are read from the tables, so the
 * caller writes the positions first.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/hsearch.h"

#include "collateral.h"
#include "isolated.h"
#include "valuation.h"

typedef struct KnownRequirement
{
	int64		account_id;		/* key */
	Requirement requirement;
} KnownRequirement;

/* The highest leverage of the tier, and what was chosen for the parent. */
static const LedgerStatement read_leverage = {
	"SELECT coalesce((SELECT t.max_leverage FROM {margin_tier} t"
	"  WHERE t.instrument_id = $3 AND (t.notional_floor < $4 OR t.notional_floor = 0)"
	"  ORDER BY t.notional_floor DESC LIMIT 1), 1),"
	" (SELECT s.leverage FROM {margin_setting} s"
	"  WHERE s.book_id = $1 AND s.account_id = $2 AND s.instrument_id = $3)",
	4, {INT4OID, INT8OID, INT4OID, NUMERICOID}
};

/* isolated_begin: nothing is known yet; lives in the current memory context */
void
isolated_begin(IsolatedMargin *margin, Wiring *wiring, int32 book_id, Posting *posting)
{
	HASHCTL		ctl = {
		.keysize = sizeof(int64),
		.entrysize = sizeof(KnownRequirement),
		.hcxt = CurrentMemoryContext
	};

	margin->wiring = wiring;
	margin->book_id = book_id;
	margin->posting = posting;
	margin->requirements = hash_create("requirements", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* isolated_forget: a position of the account has changed */
void
isolated_forget(IsolatedMargin *margin, int64 account_id)
{
	hash_search(margin->requirements, &account_id, HASH_REMOVE, NULL);
}

/* isolated_knows: whether the requirement of the account is known, else the tables are read for it */
bool
isolated_knows(IsolatedMargin *margin, int64 account_id)
{
	return hash_search(margin->requirements, &account_id, HASH_FIND, NULL) != NULL;
}

/* isolated_read: the requirements of these accounts, which may repeat */
void
isolated_read(IsolatedMargin *margin, int64 *account_ids, int n)
{
	Requirements *read = requirements_read(margin->wiring, margin->book_id, account_ids, n, false);

	for (int i = 0; i < read->n; i++)
	{
		KnownRequirement *known = hash_search(margin->requirements, &read->accounts[i].account_id,
											  HASH_ENTER, NULL);

		known->requirement = read->accounts[i];
	}
}

static Requirement *
requirement_of(IsolatedMargin *margin, int64 account_id)
{
	KnownRequirement *known;

	if (!isolated_knows(margin, account_id))
		isolated_read(margin, &account_id, 1);
	known = hash_search(margin->requirements, &account_id, HASH_FIND, NULL);
	return &known->requirement;
}

/*
 * What an account can spare, its margin group considered, which an isolated
 * position is not part of; nothing while nobody knows what it needs.
 */
static Numeric
spare(IsolatedMargin *margin, LedgerAccount *account)
{
	Requirement *requirement = requirement_of(margin, account->account_id);
	Numeric		amount;

	if (requirement->unmarked)
		return decimal_from_int64(0);
	amount = margin_withdrawable(decimal_subtract(account->amount, account->floor),
								 requirement->unrealized_pnl, requirement->initial_margin,
								 requirement->order_reserve, requirement->holds,
								 requirement->profit_backs_margin);
	if (!account->in_group)
		return amount;
	return collateral_limit(collateral_open(margin->wiring, margin->posting, margin->book_id,
											&account->account_id, 1, COLLATERAL_AS_IT_IS),
							account, amount);
}

static void
move(IsolatedMargin *margin, const IsolatedTrade *trade, LedgerAccount *from, LedgerAccount *to,
	 Numeric amount)
{
	if (decimal_sign(amount) <= 0)
		return;
	posting_post(margin->posting, from, decimal_negate(amount), "isolated_margin",
				 trade->trade_id, trade->executed_at);
	posting_post(margin->posting, to, amount, "isolated_margin",
				 trade->trade_id, trade->executed_at);
}

/* isolated_open: bring the margin, and the fee, of the part of a trade that opens */
void
isolated_open(IsolatedMargin *margin, const IsolatedTrade *trade)
{
	Datum		values[4] = {Int32GetDatum(margin->book_id), Int64GetDatum(trade->parent->account_id),
	Int32GetDatum(trade->instrument_id), NumericGetDatum(trade->notional)};
	Numeric		leverage;
	Numeric		amount;

	if (decimal_compare(trade->child->amount, trade->child->floor) < 0)
		return;
	wiring_read(margin->wiring, &read_leverage, values, LEDGER_LATEST);
	leverage = margin_effective_leverage(result_numeric(0, 1), result_numeric(0, 2));
	amount = decimal_add(margin_initial(trade->opened_value, leverage, trade->child->scale), trade->fee);
	move(margin, trade, trade->parent, trade->child,
		 decimal_min(amount, spare(margin, trade->parent)));
}

/*
 * isolated_close
 *		Give back the share of the part of a trade that closes.  Of a position
 *		that is closed, or turned over, nothing is needed any more but what
 *		orders hold.
 */
void
isolated_close(IsolatedMargin *margin, const IsolatedTrade *trade)
{
	LedgerAccount *child = trade->child;
	Numeric		balance = decimal_subtract(child->amount, child->floor);
	Numeric		amount;

	if (child->status == STATUS_FROZEN || child->status == STATUS_LIQUIDATING ||
		trade->parent->status == STATUS_CLOSED)
		return;
	if (decimal_sign(trade->qty) == decimal_sign(trade->qty_before))
		amount = decimal_min(spare(margin, child),
							 margin_released(balance, trade->qty_before, trade->qty, child->scale));
	else
	{
		Requirement *requirement = requirement_of(margin, child->account_id);

		amount = decimal_subtract(decimal_subtract(balance, requirement->order_reserve), requirement->holds);
	}
	move(margin, trade, child, trade->parent, amount);
}

/* isolated_check_trade: 22023 for an instrument that a child account is not for */
void
isolated_check_trade(const LedgerAccount *account, int64 trade_id, int32 instrument_id)
{
	if (account->parent_id != 0 && account->isolated_instrument_id != instrument_id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " cannot hold instrument %d",
						trade_id, account->account_id, instrument_id),
				 errdetail("It is a child of account " INT64_FORMAT ", for a position in instrument %d alone.",
						   account->parent_id, account->isolated_instrument_id),
				 errhint("Ask risk.isolated_account() where to book it.")));
}

/* isolated_check_side: 55000 for a position of qty on a child account for the other side */
void
isolated_check_side(const LedgerAccount *account, int64 trade_id, int32 instrument_id, Numeric qty)
{
	if (account->isolated_side != 0 && decimal_sign(qty) == -account->isolated_side)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " is for %s positions",
						trade_id, account->account_id, account->isolated_side > 0 ? "long" : "short"),
				 errdetail("The trade would take its position in instrument %d to %s.",
						   instrument_id, decimal_to_cstring(qty)),
				 errhint("Book what is beyond the position on the account of the other side.")));
}

/* isolated_check_mode: 55000 for a position that the trader wants on a child account */
void
isolated_check_mode(const LedgerAccount *account, int64 trade_id, int32 instrument_id)
{
	if (account->parent_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trade " INT64_FORMAT ": account " INT64_FORMAT " trades instrument %d isolated",
						trade_id, account->account_id, instrument_id),
				 errdetail("Its margin_setting for the instrument has mode isolated."),
				 errhint("Book the trade on the child account, see risk.isolated_account().")));
}
