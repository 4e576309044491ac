// The two ways in which a new replica comes: its node is started and joins by itself, or it is added by hand.

import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { NewReplica } from '../../../../src/operations/forms/members.ts'
import { newest } from '../../cluster/cluster-view.ts'
import { consoleHost } from '../../cluster/console-host.ts'
import { Button } from '../../design/button.tsx'
import { Command } from '../../design/command.tsx'
import { Confirmation, Dialog } from '../../design/dialog.tsx'
import { TextField } from '../../design/field.tsx'
import { findReplicaFaults, isMemberName, nextAddresses, nextName, startCommand } from './new-replica.ts'

interface ReplicaDialogProps {
  readonly title: string
  /** The member that is replaced; undefined: one is added. */
  readonly replaced?: string
  /** Sentences about what it does, and what it risks. */
  readonly children: ComponentChildren
  readonly action: string
  readonly typed?: string | undefined
  readonly onConfirm: (member: NewReplica) => Promise<void>
  readonly onClose: () => void
}

export function ReplicaDialog(props: ReplicaDialogProps) {
  const [isByHand, setByHand] = useState(false)
  if (isByHand) return <ByHand {...props} />
  const { title, children, onClose } = props
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="dialog-text">{children}</div>
      <StartedNode {...props} />
      <div class="dialog-actions">
        <Button kind="quiet" onClick={() => setByHand(true)}>
          The node runs already: by hand
        </Button>
        <Button onClick={onClose}>Close</Button>
      </div>
    </Dialog>
  )
}

function StartedNode({ replaced }: ReplicaDialogProps) {
  const members = newest.value?.members ?? []
  const [name, setName] = useState(() => replaced ?? nextName(members.map((member) => member.name)))
  const [machine, setMachine] = useState('')
  const [suggested] = useState(() => nextAddresses(members, ''))
  const needsMachine = suggested.client.startsWith(':')
  const addresses = needsMachine ? nextAddresses(members, machine.trim() || 'HOST') : suggested
  const isSecure = members.some(({ url }) => url.startsWith('https:'))
  const others = members
    .filter((member) => member.name !== replaced)
    .map(({ url }) => url)
    .sort()
  if (replaced !== undefined && consoleHost.value?.kind === 'cluster')
    return (
      <>
        <p>This command empties the directory of {replaced}, and lets it join again as a new replica:</p>
        <Command text={`quorate cluster rejoin ${replaced}`} />
      </>
    )
  return (
    <>
      {replaced === undefined && (
        <TextField
          label="Name"
          value={name}
          onInput={setName}
          isMono
          error={isMemberName(name) ? undefined : '1 to 63 of a–z, 0–9 and - are needed'}
        />
      )}
      {needsMachine && (
        <TextField
          label="Address of its machine"
          value={machine}
          onInput={setMachine}
          isMono
          placeholder="10.0.0.14"
          hint="Under which the other nodes and the clients reach it."
        />
      )}
      <p>Start it on its machine, with an empty directory. It joins by itself:</p>
      <Command
        text={startCommand({ name, ...addresses, join: others, isReplacement: replaced !== undefined })}
      />
      <p class="field-hint">
        {isSecure
          ? 'Add the flags of its certificates, as on the other nodes (--tls-cert, --peer-tls-cert, …). With a certificate for other nodes it may join without a user.'
          : 'Where rights are checked, add --user NAME of a user with the permission admin, and KV_PASSWORD.'}
      </p>
    </>
  )
}

/** The replica waits already, in a directory that has its id. */
function ByHand({ title, replaced, children, action, typed, onConfirm, onClose }: ReplicaDialogProps) {
  const [text, setText] = useState({ name: replaced ?? '', id: '', peer: '', url: '' })
  const [isTried, setTried] = useState(false)
  const faults = findReplicaFaults(text)
  const field = (name: keyof typeof text) => ({
    value: text[name],
    onInput: (value: string) => setText({ ...text, [name]: value.trim() }),
    error: isTried ? faults[name] : undefined,
    isMono: true,
    isRequired: true,
  })
  const confirm = async (): Promise<void> => {
    setTried(true)
    if (Object.values(faults).some((fault) => fault !== undefined))
      throw new Error('Nothing was changed: a field is not right yet.')
    await onConfirm(text)
  }
  return (
    <Confirmation
      title={title}
      action={action}
      kind={typed === undefined ? 'primary' : 'danger'}
      typed={typed}
      onConfirm={confirm}
      onClose={onClose}
    >
      {children}
      <div class="replica-fields">
        <TextField label="Name" {...field('name')} />
        <TextField
          label="Replica id"
          hint="That of its data directory: quorate inspect DIR -o json."
          {...field('id')}
        />
        <TextField label="Address for other nodes" placeholder="10.0.0.14:7401" {...field('peer')} />
        <TextField label="URL for clients" placeholder="http://10.0.0.14:7301" {...field('url')} />
      </div>
    </Confirmation>
  )
}
