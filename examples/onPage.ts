import type { Browser, Page } from "puppeteer-core";
import { serve } from "./serve.ts";

/** Opens an example's page, served for the time of `use`. */
export async function onPage(
  example: { readonly browser: Browser; readonly folder: string; readonly isolated?: boolean },
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const { browser, folder, isolated = true } = example;
  const { server, address } = await serve(folder, { isolated });
  const page = await browser.newPage();
  // A busy machine takes longer than puppeteer's half minute.
  page.setDefaultTimeout(600_000);
  try {
    await page.goto(address);
    await page.waitForFunction(`document.getElementById("device").options.length > 0`);
    await use(page);
  } finally {
    await page.close();
    server.close();
  }
}
