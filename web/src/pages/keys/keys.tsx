// All keys: a tree or a list of them, and the chosen one beside it.

import { useState } from 'preact/hooks'
import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import { Button } from '../../design/button.tsx'
import { Empty } from '../../design/empty.tsx'
import { TextField } from '../../design/field.tsx'
import { PageFrame } from '../../design/page-frame.tsx'
import { href, navigate, route } from '../../route.ts'
import { KeyCreation } from './key-creation.tsx'
import { KeyDetail } from './key-detail.tsx'
import { KeyList } from './key-list.tsx'
import { type KeysPlace, keysHref, readPlace } from './key-route.ts'
import { KeyTree } from './key-tree.tsx'
import { ReadableNote } from './readable-note.tsx'
import './keys.css'

export function Page() {
  const place = readPlace(route.value)
  const [isCreating, setCreating] = useState(false)
  const { key } = place
  return (
    <PageFrame
      title="Keys"
      actions={
        <>
          <a class="button button-quiet" href={href('transaction')}>
            Transaction
          </a>
          <Button kind="primary" onClick={() => setCreating(true)}>
            New key
          </Button>
        </>
      }
    >
      <div class={key === undefined ? 'keys' : 'keys keys-chosen'}>
        <section class="keys-side" aria-label="All keys">
          <Search place={place} />
          <ReadableNote href={(prefix) => keysHref({ ...place, prefix, after: undefined })} />
          <Listing place={place} />
        </section>
        {key === undefined ? (
          <section class="keys-main keys-none">
            <Empty title="No key chosen">
              <p>Choose one to see its value, its history and who wrote it.</p>
            </Empty>
          </section>
        ) : (
          <section class="keys-main" aria-label="Key">
            <a
              class="keys-back"
              href={keysHref({ ...place, key: undefined, tab: 'value', revision: undefined })}
            >
              All keys
            </a>
            <KeyDetail place={{ ...place, key }} />
          </section>
        )}
      </div>
      {isCreating && <KeyCreation prefix={place.prefix} onClose={() => setCreating(false)} />}
    </PageFrame>
  )
}

function Search({ place }: { readonly place: KeysPlace }) {
  const { view } = place
  const search = (prefix: string): void =>
    navigate(keysHref({ ...place, prefix, after: undefined }), { replace: true })
  return (
    <div class="keys-search">
      <search>
        <TextField
          label="Keys that begin with"
          isLabelHidden
          placeholder="Begin with …"
          type="search"
          isMono
          value={place.prefix}
          onInput={search}
        />
      </search>
      <nav class="switch" aria-label="View">
        {(['tree', 'list'] as const).map((each) => (
          <a
            key={each}
            href={keysHref({ ...place, view: each, after: undefined })}
            {...(each === view ? { 'aria-current': 'true' as const } : undefined)}
          >
            {each === 'tree' ? 'Tree' : 'List'}
          </a>
        ))}
      </nav>
    </div>
  )
}

function Listing({ place }: { readonly place: KeysPlace }) {
  const { prefix, view } = place
  const empty =
    prefix === '' ? (
      <Empty title="No keys yet">
        <p>
          Write one: <code>quorate put greeting hello</code>
        </p>
      </Empty>
    ) : (
      <Empty title="No key begins with that" />
    )
  if (view === 'list') return <KeyList place={place} empty={empty} />
  return <KeyTree key={prefix} root={encodeUtf8(prefix)} place={place} empty={empty} />
}
