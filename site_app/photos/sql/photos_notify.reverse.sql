drop trigger photos_step_notify on photos_step;
drop trigger photos_photo_notify on photos_photo;
drop function photos_notify();
