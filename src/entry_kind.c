/*
 * entry_kind.c
 *		What the kind of an entry says: how it came about, and by which row.
 */
#include "postgres.h"

#include "entry_kind.h"

/* entry_class: the class of an entry or transfer by its kind */
EntryClass
entry_class(const char *kind)
{
	static const struct
	{
		const char *kind;
		EntryClass	class;
	}			classes[] = {
		{"deposit", CLASS_CHOICE},
		{"withdrawal", CLASS_CHOICE},
		{"transfer", CLASS_CHOICE},
		{"journal", CLASS_CHOICE},
		{"chargeback", CLASS_OPERATIONAL},
		{"correction", CLASS_OPERATIONAL},
		{"fee", CLASS_OPERATIONAL},
		{"adjustment", CLASS_OPERATIONAL},
		{"reversal", CLASS_OPERATIONAL},
		{"repayment", CLASS_OPERATIONAL},
		{"bust_pnl", CLASS_OPERATIONAL},
		{"bust_settlement", CLASS_OPERATIONAL},
		{"waiver", CLASS_OPERATIONAL},
		{"trade_fee", CLASS_FEE},
	};

	for (int i = 0; i < (int) lengthof(classes); i++)
		if (strcmp(classes[i].kind, kind) == 0)
			return classes[i].class;
	return CLASS_MARKET;
}

/* entry_cause_kind: what the cause of an entry of that kind is a row of, where the entry can be a loss */
const char *
entry_cause_kind(const char *kind)
{
	if (strcmp(kind, "realized_pnl") == 0 || strcmp(kind, "bust_pnl") == 0 || strcmp(kind, "trade_fee") == 0 ||
		strcmp(kind, "late_funding") == 0 || strcmp(kind, "takeover_result") == 0)
		return "trade";
	if (strcmp(kind, "journal") == 0 || strcmp(kind, "adjustment") == 0 ||
		strcmp(kind, "repayment") == 0 || strcmp(kind, "waiver") == 0)
		return "journal";
	if (strcmp(kind, "reversal") == 0)
		return "reversal";
	if (strcmp(kind, "bust_settlement") == 0)
		return "settlement";
	if (strcmp(kind, "loss_share") == 0 || strcmp(kind, "adl_gain") == 0)
		return "shortfall_payment";
	if (strcmp(kind, "liquidation_fee") == 0 || strcmp(kind, "liquidation_surplus") == 0)
		return "liquidation";
	if (strcmp(kind, "exchange") == 0)
		return "exchange";
	return strcmp(kind, "funding") == 0 ? "funding" : "transfer";
}

/* transfer_kind_exists: whether the table transfer knows the kind */
bool
transfer_kind_exists(const char *kind)
{
	EntryClass	class = entry_class(kind);

	return (class == CLASS_CHOICE || class == CLASS_OPERATIONAL) &&
		strcmp(entry_cause_kind(kind), "transfer") == 0;
}
