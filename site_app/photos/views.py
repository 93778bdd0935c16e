"""Pages of photos. Views say what a request means; uploads.py, tasks.py and live.py do it."""

from uuid import UUID

from django.conf import settings
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from queue_tasks import enqueue_many
from site_app.live.stream import live_response
from site_app.photos import attempts, files, live, steps, tasks, uploads
from site_app.photos.models import Photo, Step
from site_app.states import State

PER_PAGE = 24
FOR_EVER = "public, max-age=31536000, immutable"  # a rendition's address has its photo's key in it, and never changes

Refusals = list[uploads.Refusal]


@never_cache
def gallery(request: HttpRequest) -> HttpResponse:
    """The photos, newest first; a POST uploads more."""
    if request.method == "POST":
        return upload(request)
    return gallery_page(request)


def upload(request: HttpRequest) -> HttpResponse:
    """Keep the files that are photos, and say which are not.

    A browser with JavaScript asks for JSON; without, it gets the page, or is sent to it when there is nothing to say.
    """
    candidates, refusals = uploads.examine(request.FILES.getlist("photos"))
    refusals += uploads.skipped_files(request)
    try:
        photos = uploads.keep(candidates)
    except uploads.GalleryFullError as error:
        return answer(request, [], refusals, problem=str(error), status=409)
    if not photos and not refusals:
        return answer(request, [], [], problem="No file was sent. Choose one or more photos.", status=400)
    return answer(request, photos, refusals, status=201 if photos else 422)


def answer(
    request: HttpRequest, photos: list[Photo], refusals: Refusals, *, status: int, problem: str = ""
) -> HttpResponse:
    """What became of an upload, in the form the browser asked for."""
    if request.accepts("text/html"):
        if refusals or problem:
            return gallery_page(request, refusals=refusals, problem=problem, taken=len(photos), status=status)
        return redirect("photos:gallery", permanent=False)
    found = Photo.objects.filter(pk__in=[photo.pk for photo in photos]).prefetch_related("steps")
    return JsonResponse(
        {
            "photos": [
                {**live.summary(photo), "jobs": [step.job_id for step in photo.steps_in_order]} for photo in found
            ],
            "refused": [{"name": refusal.name, "reason": refusal.reason} for refusal in refusals],
            "problem": problem,
        },
        status=status,
    )


def gallery_page(
    request: HttpRequest, *, refusals: Refusals | None = None, problem: str = "", taken: int = 0, status: int = 200
) -> HttpResponse:
    """One page of the gallery."""
    attempts.settle()
    photos = Paginator(Photo.objects.prefetch_related("steps"), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "photos": photos,
        "refusals": refusals or [],
        "problem": problem,
        "taken": taken,
        "max_megabytes": settings.PHOTO_MAX_BYTES // 2**20,
        "max_bytes": settings.PHOTO_MAX_BYTES,
        "max_files": settings.PHOTOS_PER_UPLOAD,
        "step_count": len(steps.LABELS),
    }
    return render(request, "photos/gallery.html", context, status=status)


@require_safe
@never_cache
def detail(request: HttpRequest, photo_id: int) -> HttpResponse:
    """One photo: large, with its colours, its camera, and how it was made."""
    attempts.settle()
    photo = get_object_or_404(Photo.objects.prefetch_related("steps"), pk=photo_id)
    return render(request, "photos/detail.html", {"photo": photo})


@require_POST
def again(_request: HttpRequest, photo_id: int) -> HttpResponse:
    """Try the failed steps of a photo again, as new jobs."""
    photo = get_object_or_404(Photo, pk=photo_id)
    with transaction.atomic():
        failed = list(Step.objects.select_for_update().filter(photo=photo, state=State.FAILED, name__in=steps.LABELS))
        for step, result in zip(failed, enqueue_many(uploads.job_of(photo, step.name) for step in failed), strict=True):
            step.job_id, step.state, step.attempt, step.reason = result.id, State.WAITING, 0, ""
            step.save(update_fields=["job_id", "state", "attempt", "reason"])
    return redirect(photo)


@require_POST
def delete(_request: HttpRequest, photo_id: int) -> HttpResponse:
    """Delete a photo; its files are removed by a job that exists if and only if the deletion is committed."""
    with transaction.atomic():
        photo = get_object_or_404(Photo, pk=photo_id)
        tasks.remove_files.enqueue(str(photo.key))
        photo.delete()
    return redirect("photos:gallery")


@require_safe
def rendition(_request: HttpRequest, key: UUID, name: str) -> HttpResponse:
    """A rendition's file. In front of a busy site a web server does this; the originals are never served."""
    try:
        data = (files.folder_of(key) / name).read_bytes()
    except FileNotFoundError:
        raise Http404(f"There is no rendition {name} of this photo (yet).") from None
    content_type = "image/webp" if name.endswith(".webp") else "image/jpeg"
    return HttpResponse(data, content_type=content_type, headers={"Cache-Control": FOR_EVER})


@require_safe
async def gallery_events(request: HttpRequest) -> HttpResponseBase:
    """The stream the gallery follows."""
    return live_response(request, live.CARDS)


@require_safe
async def detail_events(request: HttpRequest, photo_id: int) -> HttpResponseBase:  # noqa: ARG001  it says which in ?shown
    """The stream a photo's own page follows."""
    return live_response(request, live.SHEETS)
