import { getJson } from '../../api/call.ts'
import type { LibraryModel, MeshModels } from '../../api/types.ts'
import { Empty } from '../../ui/empty.tsx'
import { Failure } from '../../ui/failure.tsx'
import { useLoaded } from '../../ui/use-loaded.ts'
import { LibraryRow } from './library-row.tsx'
import { PullForm } from './pull-form.tsx'
import { PullStatus } from './pull-status.tsx'
import { arrivals, pulls } from './pulls.ts'
import { ServedByMesh, ServingHere } from './serving.tsx'

/** Milliseconds between two looks. */
const refreshMs = 5_000

/** The models: served here, served by the mesh, on this machine, and to be had. */
export default function ModelsView() {
  const { value, error } = useLoaded(
    (signal) => getJson<MeshModels>('/v1/mesh/models', signal),
    [arrivals.value],
    refreshMs,
  )
  const models = value.value
  return (
    <>
      <div class="view-head">
        <h1>Models</h1>
        <p class="quiet">What can answer now, what is on this machine, and what can be fetched to it.</p>
      </div>
      {error.value && !models && <Failure error={error.value} />}
      {models ? <Sections models={models} /> : !error.value && <p class="quiet loading">Loading…</p>}
    </>
  )
}

function Sections({ models: { serving, mesh, library, seeds, canPull } }: { readonly models: MeshModels }) {
  const here = library.filter(({ state }) => state !== 'absent')
  const catalog = library.filter(({ state }) => state === 'absent')
  const named = new Set(library.map(({ id }) => id))
  const row = (model: LibraryModel) => (
    <LibraryRow
      key={`${model.id} ${model.hash}`}
      model={model}
      seed={seeds.find(({ hash }) => hash === model.hash)}
      canPull={canPull}
    />
  )
  return (
    <>
      <div class="columns">
        <section class="card">
          <h2>Served by the mesh</h2>
          <ServedByMesh models={mesh} />
        </section>
        <section class="card">
          <h2>Served by this node</h2>
          <ServingHere models={serving} />
        </section>
      </div>
      <section class="card">
        <h2>On this machine</h2>
        {here.length > 0 ? (
          <ul class="models">{here.map(row)}</ul>
        ) : (
          <Empty title="None yet">
            {canPull ? 'Fetch one below.' : 'This node has no data directory, so it keeps none.'}
          </Empty>
        )}
      </section>
      {canPull && (
        <section class="card">
          <h2>To be had</h2>
          <p class="quiet">
            From peers that have it, else from the web. It is checked to the last byte before anything loads
            it.
          </p>
          <PullForm />
          {[...pulls.value.keys()]
            .filter((name) => !named.has(name))
            .map((name) => (
              <div key={name} class="model-row">
                <strong class="model-text">{name}</strong>
                <PullStatus name={name} />
              </div>
            ))}
          <ul class="models">{catalog.map(row)}</ul>
        </section>
      )}
    </>
  )
}
