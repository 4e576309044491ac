// `kv help TOPIC`: topics that belong to no single command.

import { PROGRAM } from '../local/program-name.ts'

export const TOPICS: Readonly<Record<string, { readonly summary: string; readonly text: string }>> = {
  consistency: {
    summary: 'how fresh a read is, and what that costs',
    text: `Examples:
  ${PROGRAM} get config                                  the newest value, always
  ${PROGRAM} get config --consistency stale              what the node has, even cut off from the others
  ${PROGRAM} get config --consistency stale --max-staleness 500ms

linearizable   The default. A read sees every write that was acknowledged before it began,
               whichever node answers. Needs a majority of the nodes.
lease          Like linearizable, but the leader answers by its lease, without a round trip.
               Rests on clocks that run at about the same speed, and not on machines that are
               suspended (a laptop asleep, a virtual machine paused). Leases are a setting of the
               cluster (${PROGRAM} settings set leases=on); while they are off, the read is linearizable.
stale          What the contacted node has applied. Needs no other node. How old that is at most
               is proven by the cluster and said on stderr; after a restart it may be unknown.

--max-staleness refuses stale reads that may be older, or whose age is unknown (exit code 5).
One command that reads several pages never goes back from one page to the next.`,
  },
  environment: {
    summary: 'variables, contexts, cluster.json, and which of them wins',
    text: `A flag wins over a variable, a variable over a context, that over the local cluster, that over the default.

KV_ENDPOINTS      nodes to use, separated by commas: http://127.0.0.1:7301,127.0.0.1:7302
KV_CONTEXT        a cluster of ${PROGRAM} context add; --context '' uses none
KV_TIMEOUT        how long a request may take: a number with ms, s, m or h
KV_CONSISTENCY    linearizable, lease or stale
KV_MAX_STALENESS  how old a stale read may be
KV_CACERT         file with the CAs that sign the certificates of nodes
KV_CERT, KV_KEY   files with the certificate that is shown to nodes, and with its private key
KV_OUTPUT         table, wide, plain, json or ndjson
KV_USER           who you are, where rights are checked: a name, or NAME:PASSWORD
KV_PASSWORD       the password of this user
KV_TOKEN          a token of a login, instead of both
KV_ETCD_PASSWORD  the password of --etcd-user of ${PROGRAM} migrate
NO_COLOR          no colours

Endpoints given by --endpoints or KV_ENDPOINTS are used alone. Without them the nodes of the local
cluster are used (.kv/cluster/cluster.json in the working directory), or else
http://127.0.0.1:7301, …:7302 and …:7303; the other nodes are learned from the first that answers.`,
  },
  'exit-codes': {
    summary: 'what the exit code says, above all after a failed write',
    text: `  0  done
  1  failed; the message says why
  2  the command line is wrong
  3  there is no such key, member or lease, or no item in the queue; the file of simulate does not load
  4  the condition (--if-revision, --if-absent) does not hold: nothing was written
  5  nodes were reached but cannot serve this now (no leader, no quorum, overloaded, too stale), or
     the lock was not free in time: nothing was written
  6  the outcome is unknown: the write may have been applied, or may still be. Or its result could not
     be printed. Reads never end with 6
  7  no node could be connected to: not a byte of the request left
  8  it is not known who you are (--user, KV_USER), you have no right to this, or TLS failed: nothing
     was written
130  Ctrl-C

A script may repeat a write after 5 and 7. After 6 it must look first (${PROGRAM} get), or write under a
condition. ${PROGRAM} itself has tried again, safely, until --timeout ran out.`,
  },
  formatting: {
    summary: 'output for people and for scripts',
    text: `Examples:
  ${PROGRAM} ls | head -3
  ${PROGRAM} get config -o json | jq -r .value
  ${PROGRAM} status -o ndjson | jq -r 'select(.role == "leader").name'

Data goes to stdout, everything else to stderr.

table    columns with a header: the default on a terminal, where long ones are shortened to fit
wide     the same with all columns of status, cluster status and member list, and nothing shortened
plain    the same as tab-separated lines without a header, or the bare result: the default in a pipe
json     one JSON document
ndjson   one JSON object on each line

${PROGRAM} get writes the exact bytes of the value, and a newline only on a terminal; with -o json it prints
the record. In JSON, bytes that are valid UTF-8 are strings, others {"base64":"…"}.
Colours appear on terminals only; --no-color and NO_COLOR switch them off.`,
  },
}
