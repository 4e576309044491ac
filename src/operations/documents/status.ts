// The state of a node, as it knows itself.

import { isObject } from '../forms/decode.ts'
import { string } from '../http/json-schema.ts'
import {
  type DocumentType,
  described,
  document,
  type Kind,
  listOf,
  orNull,
  revision,
  signedNumber,
  text,
  wholeNumber,
} from './document.ts'
import { MemberDocument } from './members.ts'

/** A problem of an operator. Other versions may report more of it than a text. */
const problemText: Kind<string> = {
  schema: string,
  encode: (value) => value,
  decode: (value) => (isObject(value) ? JSON.stringify(value) : String(value)),
}

const CertificateDocument = document('a certificate', { file: text, expiresInMs: signedNumber })

/** Also the form in which a member reports it to another one. */
export const StatusDocument = document('a status', {
  name: text,
  /** Version of the program. */
  version: text,
  clusterId: text,
  replicaId: text,
  role: described('follower, pre-candidate, candidate or leader', text),
  leader: orNull(text),
  term: wholeNumber,
  commitIndex: wholeNumber,
  appliedIndex: wholeNumber,
  logFirstIndex: wholeNumber,
  revision,
  clusterVersion: wholeNumber,
  /** Equal on all replicas that have applied the same entries. */
  stateHash: described('64 bits in hexadecimal; equal on replicas with equal applied_index', text),
  members: listOf(MemberDocument),
  /** Free bytes of the file system with the data directory; undefined when they are unknown. */
  diskFreeBytes: described('Of the file system; null when it is unknown', orNull(wholeNumber)),
  diskTotalBytes: orNull(wholeNumber),
  /** How long the files of certificates are still valid; negative after that. */
  certificates: described(
    'Until the first certificate or revocation list of each file ends; negative after that',
    listOf(CertificateDocument),
  ),
  /** The age of the newest scheduled backup that the node knows. */
  lastBackupAgeMs: described('Of the newest scheduled backup that this node knows', orNull(wholeNumber)),
  /** Problems for an operator; empty when all is well. */
  errors: described('What an operator should look at', listOf(problemText)),
})

/** A node, as it knows itself. */
export type StatusResult = DocumentType<typeof StatusDocument>
