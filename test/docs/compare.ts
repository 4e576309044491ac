// Compares the output that a page shows with the output of a command. It ignores only what differs from run to run:
// process ids, times, which node leads, and random ids. Revisions must have the same order as in the page.

/** `…` in a page stands for anything. */
export function isLike(shown: string, printed: string): boolean {
  const [page, output] = comparable(shown, printed)
  const pattern = page.split('…').map((part) => part.replaceAll(/[^\w\s]/g, '\\$&'))
  return new RegExp(`^${pattern.join('.*')}$`, 's').test(output)
}

/** Both, as they are compared. */
export function comparable(shown: string, printed: string): readonly [string, string] {
  const texts = [plain(shown), plain(printed)] as const
  // The revisions in the part that is left out are unknown.
  const orders = shown.includes('…') ? [[], []] : texts.map(revisionsOf)
  return [ranked(texts[0], orders[0] ?? []), ranked(texts[1], orders[1] ?? [])]
}

/** White space wraps and aligns; JSON in a page has some that the answer has not. */
function plain(text: string): string {
  const same = text
    .replaceAll(/\b(?:leader|follower) +\d+ +(running|paused)/g, '(role) (pid) $1')
    .replaceAll(/(running) +\d+( +\d+)/g, '$1 (term)$2')
    .replaceAll(/process \d+/g, 'process (pid)')
    .replaceAll(/console +http:\/\/127\.0\.0\.1:\d+\/ui\/#token=[\w…-]+/g, 'console (address)')
    .replaceAll(/at most \d+(\.\d+)? m?s old/g, 'at most (age) old')
    .replaceAll(/"(cluster_id|member_id|id)": ?"(\d+|…)"/g, '"$1":"(id)"')
    .replaceAll(/"(leader|role)": ?"\w+"/g, '"$1":"(node)"')
    .replaceAll(
      /"(pid|term|raft_term|commit_index|applied_index|session|time_ms)": ?("?)\d+\2/g,
      '"$1":(number)',
    )
  const isJson = /^\s*(\{|event: )/.test(same)
  if (isJson) return same.replaceAll(/\s+/g, '')
  return `${same.replaceAll(/\s+/g, ' ').trim()}${rolesOf(text)}`
}

/** Documents of etcd have them as strings. */
const REVISION = /("(?:\w+_)?revision":"?|isatrevision|id:)(\d+)/g

/** The revisions in JSON, in their order. */
const revisionsOf = (text: string): readonly number[] =>
  [...new Set([...text.matchAll(REVISION)].map(([, , revision]) => Number(revision)))].sort((a, b) => a - b)

/** With the place of each revision in the order, in place of the revision. */
const ranked = (text: string, order: readonly number[]): string =>
  text.replaceAll(REVISION, (_, name, revision) => `${name}(revision ${order.indexOf(Number(revision)) + 1})`)

/** How many nodes of a table lead, and how many follow: which ones do, differs. */
const rolesOf = (text: string): string => (text.match(/\b(leader|follower)(?= +\d)/g) ?? []).sort().join()
