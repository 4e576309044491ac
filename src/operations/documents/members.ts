// Members of the cluster, and the cluster.

import { Id, MemberName } from '../http/members.ts'
import {
  type DocumentType,
  described,
  document,
  flag,
  listOf,
  oneOf,
  optional,
  orNull,
  text,
  wholeNumber,
} from './document.ts'

export const MemberDocument = document('a member', {
  name: described(MemberName, text),
  /** 64 bits as decimal digits. */
  replicaId: described(Id, text),
  role: oneOf(['voter', 'learner']),
  /** host:port of its peer listener. */
  peer: text,
  /** Base URL of its HTTP API. */
  url: text,
  /** The index up to which its log is known to match the leader's; only the leader knows this. */
  matchIndex: optional(described('Known to the leader alone', wholeNumber)),
})

/** A member, as a node knows it. */
export type MemberDescription = DocumentType<typeof MemberDocument>

export const ClusterDocument = document('a cluster', {
  clusterId: described(Id, text),
  /** Name of the leader, if the node that answered knows one. */
  leader: orNull(text),
  term: wholeNumber,
  joint: described('A change of voters is in progress', flag),
  members: listOf(MemberDocument),
})

/** The members, as the node that answers knows them. */
export type ClusterResult = DocumentType<typeof ClusterDocument>
