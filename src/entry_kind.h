/*
 * entry_kind.h
 *		What the kind of an entry says: how it came about, and by which row.
 */
#ifndef RISK_ENTRY_KIND_H
#define RISK_ENTRY_KIND_H

/* How a loss came about decides who may pay for it. */
typedef enum EntryClass
{
	CLASS_CHOICE,				/* refused beyond what the account can spare */
	CLASS_MARKET,				/* a fact; the policy says who pays */
	CLASS_OPERATIONAL,			/* a fact; never the insurance fund's */
	CLASS_FEE					/* cut when it cannot be paid */
} EntryClass;

extern EntryClass entry_class(const char *kind);
extern const char *entry_cause_kind(const char *kind);
extern bool transfer_kind_exists(const char *kind);

#endif							/* RISK_ENTRY_KIND_H */
