import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { ModelsOrder, ModelsReport } from './models-process.ts'

/** One process with its reports, until it is killed. */
export class ModelsPeer {
  readonly reports: ModelsReport[] = []
  readonly #child: ChildProcess

  constructor(dir: string, { host, port }: { host: string; port: number }) {
    this.#child = fork(new URL('models-process.ts', import.meta.url), [dir, host, String(port)], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child.on('message', (report: ModelsReport) => this.reports.push(report))
  }

  order(order: ModelsOrder): void {
    this.#child.send(order)
  }

  /** The next report of a kind that fits. */
  async until<Type extends ModelsReport['type']>(
    type: Type,
    fits: (report: Extract<ModelsReport, { type: Type }>) => boolean = () => true,
  ): Promise<Extract<ModelsReport, { type: Type }>> {
    for (;;) {
      const found = this.reports.find(
        (report): report is Extract<ModelsReport, { type: Type }> =>
          report.type === type && fits(report as Extract<ModelsReport, { type: Type }>),
      )
      if (found) return found
      const failure = this.reports.find((report) => report.type === 'failed')
      if (failure) throw new Error(failure.message)
      await once(this.#child, 'message')
    }
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}
