import { members, newest } from './cluster-view.ts'
import { consoleHost } from './console-host.ts'

/** The URL of a node for other programs: the console of a local cluster serves only its page. */
export function nodeUrl(): string {
  if (consoleHost.peek()?.kind !== 'cluster') return location.origin
  const name = newest.peek()?.name
  return members.peek().find((member) => member.name === name)?.url ?? location.origin
}
