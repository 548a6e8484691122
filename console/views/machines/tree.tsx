import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { valueText } from './format.ts'
import { toRows, type TreeRow } from './tree-rows.ts'
import {
  actor as shownActor,
  toggledRows,
  placeHash,
  select,
  store,
  treeFilter,
  valuesShown,
} from './view-state.ts'

/** Rows that are drawn; with more, a filter finds them. */
const rowsMax = 400

function toggle(id: string): void {
  const toggled = new Set(toggledRows.value)
  if (!toggled.delete(id)) toggled.add(id)
  toggledRows.value = toggled
}

/** Who lives, as a tree that a keyboard can walk. */
export function Tree() {
  void store.version.value
  const selected = shownActor.value && store.heirOf(shownActor.value.id)
  const all = toRows(store, toggledRows.value, treeFilter.value, selected)
  const rows = all.slice(0, rowsMax)
  /** The row that Tab comes to. */
  const focused = useSignal<string | undefined>(undefined)
  const current = rows.some(({ actor }) => actor.id === focused.value)
    ? focused.value
    : (selected ?? rows[0]?.actor.id)
  const list = useRef<HTMLDivElement>(null)
  const wantsFocus = useRef(false)
  useEffect(() => {
    if (!wantsFocus.current) return
    wantsFocus.current = false
    list.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus()
  })
  const goto = (row: TreeRow | undefined): void => {
    if (!row) return
    wantsFocus.current = true
    focused.value = row.actor.id
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const index = rows.findIndex(({ actor }) => actor.id === current)
    const row = rows[index]
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return
    const parent = rows.slice(0, index).findLast(({ depth }) => depth < row.depth)
    const keys: Record<string, () => void> = {
      ArrowDown: () => goto(rows[index + 1]),
      ArrowUp: () => goto(rows[index - 1]),
      Home: () => goto(rows[0]),
      End: () => goto(rows.at(-1)),
      ArrowRight: () => (row.hasChildren && !row.isOpen ? toggle(row.actor.id) : goto(rows[index + 1])),
      ArrowLeft: () => (row.hasChildren && row.isOpen ? toggle(row.actor.id) : goto(parent)),
      Enter: () => select(row.actor.id),
      ' ': () => select(row.actor.id),
    }
    const act = keys[event.key]
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    act()
  }
  const more = all.length - rows.length + store.actorsLeftOut.value
  return (
    <div class="mx-tree">
      <input
        type="search"
        placeholder="Find an actor or a state"
        aria-label="Find an actor or a state"
        value={treeFilter.value}
        onInput={({ currentTarget }) => (treeFilter.value = currentTarget.value)}
      />
      <div class="mx-rows" role="tree" aria-label="Actors" ref={list} onKeyDown={onKeyDown}>
        {rows.map((row) => (
          <Row
            key={row.actor.id}
            row={row}
            isSelected={row.actor.id === selected}
            isCurrent={row.actor.id === current}
          />
        ))}
      </div>
      {rows.length === 0 && (
        <p class="mx-note">{treeFilter.value ? 'Nobody matches.' : 'Nobody is here yet.'}</p>
      )}
      {more > 0 && <p class="mx-note">… and {more} more: a filter finds them.</p>}
    </div>
  )
}

interface RowProps {
  readonly row: TreeRow
  readonly isSelected: boolean
  readonly isCurrent: boolean
}

function Row({ row: { actor, depth, hasChildren, isOpen }, isSelected, isCurrent }: RowProps) {
  const { view, status, generation, seq } = actor
  const values = valuesShown.value
  const past = values?.get(actor.id)
  const name = view.name === 'child' && view.systemId !== undefined ? view.systemId : view.name
  // At a moment of the past it may not have ended yet.
  const state =
    past !== undefined || status === 'active'
      ? valueText(past ?? actor.value)
      : status === 'error'
        ? 'failed'
        : status
  return (
    <div
      role="treeitem"
      class={`mx-row mx-is-${status}`}
      style={{ paddingInlineStart: `${6 + depth * 14}px` }}
      tabIndex={isCurrent ? 0 : -1}
      aria-selected={isSelected}
      aria-level={depth + 1}
      {...(hasChildren && { 'aria-expanded': isOpen })}
      data-actor={actor.id}
      title={`${view.name}${view.source === view.name ? '' : ` (${view.source})`}${view.systemId === undefined ? '' : `, known as ${view.systemId}`}`}
      onClick={() => select(actor.id)}
    >
      <span
        class={hasChildren ? 'mx-fold' : 'mx-fold mx-leaf'}
        aria-hidden="true"
        onClick={(event) => {
          if (!hasChildren) return
          event.stopPropagation()
          toggle(actor.id)
        }}
      >
        {hasChildren ? (isOpen ? '▾' : '▸') : ''}
      </span>
      {/* It beats with every event. */}
      <span key={seq} class={`mx-dot ${view.graph === undefined ? 'mx-dot-plain' : ''}`} aria-hidden="true" />
      <a
        class="mx-row-name"
        href={placeHash(actor.id)}
        tabIndex={-1}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) event.stopPropagation()
          else event.preventDefault()
        }}
      >
        {name}
      </a>
      {view.source !== name && view.graph !== undefined && <span class="mx-row-source">{view.source}</span>}
      {generation > 0 && (
        <span class="mx-again" title={`Started again: ${generation} before it ended`}>
          ↻{generation}
        </span>
      )}
      <span class="mx-row-state">{state}</span>
    </div>
  )
}
