import { lazy, Suspense } from 'preact/compat'
import { Boundary } from '../../frame/boundary.tsx'
import { KeyDialog } from '../../frame/key-dialog.tsx'

const MachinesView = lazy(() => import('./machines-view.tsx'))

/** The page of `qmesh/inspect`: this view and no other, for a system of actors that is no node. */
export function MachinesAlone() {
  document.title = 'Machines'
  return (
    <main class="machines-alone">
      <Boundary>
        <Suspense fallback={null}>
          <MachinesView />
        </Suspense>
      </Boundary>
      <KeyDialog />
    </main>
  )
}

/** Whether the address asks for it. */
export const isMachinesAlone = (search: string): boolean =>
  new URLSearchParams(search).get('only') === 'machines'
