// Whether what a page shows is what a command has printed. Loose about what differs from run to run, and only there:
// process ids, ages, which node leads, ids that are drawn, and revisions, which must have the same order as in the page.

/** `…` in a page stands for anything. */
export function isLike(shown: string, printed: string): boolean {
  const pattern = plain(shown)
    .split('…')
    .map((part) => part.replaceAll(/[^\w\s]/g, '\\$&'))
    .join('.*')
  return new RegExp(`^${pattern}$`, 's').test(plain(printed)) && rolesOf(shown) === rolesOf(printed)
}

/** White space wraps and aligns. JSON in a page may have some that the answer has not. */
export function plain(text: string): string {
  const same = text
    .replaceAll(/\b(?:leader|follower) +\d+ +(running|paused)( +\d+)?/g, '(role) (pid) $1$2')
    .replaceAll(/(running) +\d+( +\d+)/g, '$1 (term)$2')
    .replaceAll(/process \d+/g, 'process (pid)')
    .replaceAll(/at most \d+(\.\d+)? m?s old/g, 'at most (age) old')
    .replaceAll(/"(cluster_id|id)": ?"(\d+|…)"/g, '"$1":"(id)"')
    .replaceAll(/"(leader|role)":"\w+"/g, '"$1":"(node)"')
    .replaceAll(/"(pid|term|commit_index|applied_index|ttl_ms|session)": ?\d+/g, '"$1":(number)')
  const isJson = /^\s*(\{|event: )/.test(same)
  return ranked(isJson ? same.replaceAll(/\s+/g, '') : same.replaceAll(/\s+/g, ' ').trim())
}

const REVISION = /("(?:\w+_)?revision":|isatrevision|id:)(\d+)/g

/** Revisions of JSON, each replaced by its place in the order of those that the text has. */
function ranked(text: string): string {
  const revisions = [...text.matchAll(REVISION)].map(([, , revision]) => Number(revision))
  const order = [...new Set(revisions)].sort((a, b) => a - b)
  return text.replaceAll(
    REVISION,
    (_, name, revision) => `${name}(revision ${order.indexOf(Number(revision)) + 1})`,
  )
}

/** How many nodes of a table lead, and how many follow. */
const rolesOf = (text: string): string => (text.match(/\b(leader|follower)(?= +\d)/g) ?? []).sort().join()
