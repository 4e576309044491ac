// The facts that a console needs before a user logs in (`console.json`).

import { type DocumentType, document, type Kind, listOf, oneOf, orNull, text, union } from './document.ts'

export const NodeConsoleDocument = document('a console', {
  kind: oneOf(['node']),
  /** Name of the node that serves the page. */
  node: text,
  /** Version of the program. */
  version: text,
  clusterId: text,
  members: listOf(document('a member', { name: text, url: text })),
})

export const ClusterConsoleDocument = document('a console', {
  kind: oneOf(['cluster']),
  version: text,
  /** null until the cluster is founded. */
  clusterId: orNull(text),
  /** `base`: the path before the targets of requests to the node. */
  nodes: listOf(document('a node', { name: text, base: text })),
})

/** The program that serves a page: a node, or the supervisor of a local cluster. */
export type ConsoleHost =
  | DocumentType<typeof NodeConsoleDocument>
  | DocumentType<typeof ClusterConsoleDocument>

export const ConsoleDocument: Kind<ConsoleHost> = union('a console', 'kind', [
  NodeConsoleDocument,
  ClusterConsoleDocument,
])
