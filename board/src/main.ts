// The pages' script. The host says which page it is.
import { boardPage } from "./board/page";
import { beginKiosk } from "./page/kiosk";
import { pipelinePage } from "./pipelines/detail";
import { pipelinesPage } from "./pipelines/list";
import { beginTheme } from "./theme";

const { page, name = "" } = document.body.dataset;
if (page !== undefined) {
  beginTheme();
  beginKiosk();
  if (page === "board") boardPage(name);
  if (page === "pipelines") pipelinesPage();
  if (page === "pipeline") pipelinePage(name);
}
